"""State is moved to other partitions only where nothing can be lost by it, and a start says where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.archive.archive import Archive
from adapters.objects.folder import FolderObjects
from fraud.errors import MisconfiguredError
from fraud.settings import Job, Settings
from processor.checkpoint import claim_checkpoint
from processor.rescale import rescale
from processor.start import begin
from tests.support.attempts import FolderCheckpoint

SETTINGS = Settings(job=Job(key_groups=4, partitions=2))


class Spark:
    """Notes what it is asked to move."""

    def __init__(self) -> None:
        self.moved: list[tuple[str, int]] = []
        self._streamingCheckpointManager = self

    def repartition(self, address: str, partitions: int) -> None:
        self.moved.append((address, partitions))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(FolderObjects(tmp_path / "archive"))


@pytest.fixture
def folder(tmp_path: Path, archive: Archive) -> FolderCheckpoint:
    """A checkpoint with one batch, committed."""
    made = FolderCheckpoint(tmp_path / "checkpoint")
    claim_checkpoint(made, archive, SETTINGS)
    made.plan(0, {})
    made.commit(0)
    return made


def moved(folder: FolderCheckpoint, archive: Archive, partitions: int, settings: Settings = SETTINGS) -> list[Any]:
    spark: Any = Spark()
    assert rescale(spark, folder, archive, settings, partitions) == 2
    return [partitions for _, partitions in spark.moved]


def test_state_is_moved_whatever_the_settings_say_of_partitions(folder: FolderCheckpoint, archive: Archive) -> None:
    assert moved(folder, archive, 4) == [4]
    assert moved(folder, archive, 4, Settings(job=Job(key_groups=4, partitions=4))) == [4]


def test_moving_it_to_where_it_lies_moves_nothing(folder: FolderCheckpoint, archive: Archive) -> None:
    assert moved(folder, archive, 2) == []


def test_a_start_with_other_partitions_names_the_way_out(folder: FolderCheckpoint, archive: Archive) -> None:
    with pytest.raises(
        MisconfiguredError, match=r"^job\.partitions: is 4, .* lies in 2; .*fraud rescale --partitions 4$"
    ):
        claim_checkpoint(folder, archive, Settings(job=Job(key_groups=4, partitions=4)))
    folder.in_partitions = 4
    folder.plan(1, {})
    folder.commit(1)  # as Spark leaves it after the move
    claim_checkpoint(folder, archive, Settings(job=Job(key_groups=4, partitions=4)))


def test_a_batch_that_was_begun_is_finished_first(folder: FolderCheckpoint, archive: Archive) -> None:
    folder.plan(1, {})
    with pytest.raises(
        MisconfiguredError, match=r"^job\.checkpoint: .*a batch that was begun: start the job with job.part"
    ):
        moved(folder, archive, 4)


def test_a_move_that_was_interrupted_is_finished_by_the_same_command_alone(
    folder: FolderCheckpoint, archive: Archive
) -> None:
    folder.in_partitions = 4
    folder.plan(1, {})  # as Spark leaves it in the middle of the move
    with pytest.raises(MisconfiguredError, match=r"^job\.checkpoint: .* 4 partitions was interrupted: finish it first"):
        begin(folder, archive, Settings(job=Job(key_groups=4, partitions=4)), "1.0.0")
    with pytest.raises(MisconfiguredError, match=r"^--partitions: .* with fraud rescale --partitions 4$"):
        moved(folder, archive, 2)
    assert moved(folder, archive, 4) == [4]


def test_no_partition_is_left_empty(folder: FolderCheckpoint, archive: Archive) -> None:
    with pytest.raises(MisconfiguredError, match=r"^--partitions: 5 would leave some empty: .* 4 key groups"):
        moved(folder, archive, 5)


def test_a_checkpoint_without_state_is_refused(tmp_path: Path, archive: Archive) -> None:
    with pytest.raises(MisconfiguredError, match=r"^job\.checkpoint: .* holds no state yet"):
        moved(FolderCheckpoint(tmp_path / "none"), archive, 4)
