"""What a start finds: a name claimed once, a checkpoint level with its archive, a batch to finish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from adapters.archive.archive import Archive, to_parquet
from adapters.archive.layout import ArchiveKind, pin_key
from adapters.archive.pins import Pin, Pins
from adapters.objects.folder import FolderObjects
from fraud.errors import FatalError, MisconfiguredError
from fraud.records.arrival import RECORD_SCHEMA
from fraud.settings import Job, Settings
from processor.checkpoint import claim_checkpoint
from processor.kinesis_source.offsets import Position
from processor.start import refuse_others
from tests.support.attempts import FolderCheckpoint, KilledError, LocalJob, fates
from tests.support.records import NOON, transaction, wire

SETTINGS = Settings(job=Job(key_groups=4, partitions=2))
NOON_MS = int(NOON.timestamp() * 1000)


def records(count: int) -> pa.Table:
    place: dict[str, Any] = {"stream": "fraud-transactions", "shard": "shard-0", "sub_sequence": 0}
    return pa.Table.from_pylist(
        [
            place
            | {"sequence_number": str(10**20 + number), "arrival_ms": NOON_MS + number}
            | {"data": wire(transaction(transaction_id=f"t-{number}", card_token=f"card-{number % 4}"))}
            for number in range(count)
        ],
        schema=RECORD_SCHEMA,
    )


class Late(FolderObjects):
    """A store whose first listing was made before another start claimed anything."""

    listed = False

    def keys(self, prefix: str = "", after: str = "") -> Iterator[str]:
        if self.listed:
            yield from super().keys(prefix, after)
        self.listed = True


def test_of_two_first_starts_of_a_name_the_second_stops(tmp_path: Path) -> None:
    claim_checkpoint(FolderCheckpoint(tmp_path / "one"), Archive(FolderObjects(tmp_path / "a")), SETTINGS)
    with pytest.raises(MisconfiguredError, match=r"^job\.query: fraud belongs to a checkpoint other") as refused:
        claim_checkpoint(FolderCheckpoint(tmp_path / "two"), Archive(Late(tmp_path / "a")), SETTINGS)
    assert "\n" not in str(refused.value)
    again = claim_checkpoint(FolderCheckpoint(tmp_path / "one"), Archive(Late(tmp_path / "a")), SETTINGS)
    assert again == FolderCheckpoint(tmp_path / "one").id()


def test_of_two_jobs_with_copies_of_a_checkpoint_the_later_stops_and_nothing_is_stored_twice(tmp_path: Path) -> None:
    job = LocalJob(tmp_path / "run", records(12))
    job.start(SETTINGS, 0).finish([4, 8])
    first = LocalJob(tmp_path / "run", records(30), job.logs)
    second = first.copy("copy")
    one, other = first.start(SETTINGS, 0), second.start(SETTINGS, 0)
    one.plan(20)
    one.attempt()
    other.plan(30)
    with pytest.raises(FatalError, match=r"^another run of fraud \(program test\) has begun batch 3 ") as stopped:
        other.attempt()
    assert "\n" not in str(stopped.value)
    assert {place: kinds for place, kinds in fates(first.archive).items() if len(kinds) > 1} == {}
    one.finish([10])
    with pytest.raises(MisconfiguredError, match="was set back, or another job writes under this name"):
        second.start(SETTINGS, 0)
    assert len(fates(first.archive)) == 30


def test_a_batch_that_holds_other_records_in_the_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    job = LocalJob(tmp_path / "run", records(12))
    job.start(SETTINGS, 0).finish([4])
    copy = job.copy("copy")
    copy.checkpoint.set_back(1)
    copy.checkpoint.plan(2, job.checkpoint.offsets(1))  # as if fewer had been read
    with pytest.raises(
        MisconfiguredError, match=r"batch 2 of .* reads fraud-transactions/shard-0 from .* but decisions/"
    ) as refused:
        copy.start(SETTINGS, 0)
    assert "\n" not in str(refused.value)


def test_labels_that_ended_with_a_batch_were_read_with_earlier_ones() -> None:
    before, until = ({("fraud-labels", "shard-0"): Position(str(number))} for number in (7, 9))
    held = {"dead-letters/one": {"fraud-labels/shard-0/ended": ("1", "5"), "fraud-labels/shard-0": ("8", "9")}}
    refuse_others(held, before, until, 2, SETTINGS)
    with pytest.raises(MisconfiguredError, match="holds its records 1 to 5"):
        refuse_others({"labels/one": {"fraud-labels/shard-0": ("1", "5")}}, before, until, 2, SETTINGS)


def test_a_batch_begun_by_a_version_that_named_nothing_is_finished(tmp_path: Path) -> None:
    job = LocalJob(tmp_path / "run", records(12))
    started = job.start(SETTINGS, 0)
    started.plan(12)
    started.attempt(skip=1)
    # As 7d4d319 left it: a pin of two words, objects without names in hours of their own.
    (job.folder / "archive" / pin_key("fraud", 1)).write_bytes(msgspec.json.encode(_words(job)))
    for key in list(job.archive.keys(ArchiveKind.DECISIONS.prefix)):
        table = job.archive.read_stored(key).replace_schema_metadata(None)
        job.objects.delete(key)
        job.archive.put_new(ArchiveKind.DECISIONS.key("fraud", 1, 0, NOON_MS - 7_200_000), to_parquet(table))
    before = fates(job.archive)
    again = job.start(SETTINGS, 0)
    assert again.run.resumed is not None
    assert again.run.resumed.run == ""
    again.finish([])
    found = fates(job.archive)
    assert len(found) == 12
    assert {place: found[place] for place in before} == before
    assert all(len(kinds) == 1 for kinds in found.values())


def _words(job: LocalJob) -> list[str | None]:
    pin = Pins(job.archive, "fraud").read(1)
    assert pin is not None
    return [pin.policy_version, pin.model_version]


def test_a_batch_that_nothing_is_stored_of_is_decided_by_the_settings_of_the_start(tmp_path: Path) -> None:
    job = LocalJob(tmp_path / "run", records(4))
    started = job.start(SETTINGS, 0)
    job.objects.writes_left = 0
    with pytest.raises(KilledError):
        started.finish([4])
    job.objects.writes_left = None
    assert job.start(SETTINGS, 0).run.resumed is None


def test_a_pin_says_who_began_the_batch_and_what_decides(tmp_path: Path) -> None:
    job = LocalJob(tmp_path / "run", records(4))
    strict = Settings(job=SETTINGS.job.model_copy(update={"max_age_s": 60}))
    started = job.start(strict, 0, program="0.1.0+abc")
    started.finish([4])
    pin = Pins(job.archive, "fraud").read(1)
    assert pin is not None
    assert (pin.run, pin.program, pin.arrival_ms) == (started.run.id, "0.1.0+abc", NOON_MS)
    assert pin.settings == {
        "job.max_age_s": 60,
        "job.max_ahead_s": 3_600,
        "job.recorded_arrival": False,
        "job.state_expiry_days": 400,
        "job.waiting_labels": 10_000,
        "answers.keys": {},
    }
    (names,) = {job.archive.names(key).program for key in job.archive.keys("decisions/")}
    assert names == "0.1.0+abc"


def test_only_one_run_may_pin_a_batch(tmp_path: Path) -> None:
    pins = Pins(Archive(FolderObjects(tmp_path)), "fraud")
    bundle = LocalJob(tmp_path / "run", records(1)).start(SETTINGS, 0).committer._policies.current.bundle
    assert pins.pin(7, Pin("p", None, run="a"), bundle, frozenset({"a"})).run == "a"
    assert pins.pin(7, Pin("q", None, run="b"), bundle, frozenset({"b", "a"})).policy_version == "p"
    with pytest.raises(FatalError, match="another run of fraud"):
        pins.pin(7, Pin("q", None, run="b"), bundle, frozenset({"b"}))
