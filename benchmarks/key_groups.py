"""The key groups of a job, advanced as Spark would advance them, without Spark; their logs lie in memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fraud.entities import Entity
from fraud.path import Step
from fraud.records import Records
from fraud.settings import Settings
from processor.envelope import by_group
from processor.keyed_state.group import advance_group
from processor.keyed_state.log import EMPTY, Head, is_snapshot


class Written(NamedTuple):
    """What went to the logs.

    Attributes:
        logged: bytes of what was folded.
        snapshots: bytes of pieces of snapshots.
        pieces: how many.
        most_pieces: how many at most of one key group in one batch.
    """

    logged: int = 0
    snapshots: int = 0
    pieces: int = 0
    most_pieces: int = 0

    def plus(self, other: Written) -> Written:
        """Both together."""
        return Written(
            self.logged + other.logged,
            self.snapshots + other.snapshots,
            self.pieces + other.pieces,
            max(self.most_pieces, other.most_pieces),
        )


class KeyGroups:
    """The key groups of an entity kind with their logs, which Spark would keep.

    Args:
        entity: whose.
        settings: of the job.
        folder: of the local copies.

    Attributes:
        heads: of the logs, by number of the key group.
    """

    def __init__(self, entity: Entity, settings: Settings, folder: Path) -> None:
        self.heads: dict[int, Head] = {}
        self._entity = entity
        self._groups = settings.job.key_groups
        self._step = Step(entity, settings)
        self._folder = folder / entity.name
        self._lists: dict[int, tuple[list[bytes], list[bytes]]] = {}

    def folder(self, group: int) -> Path:
        """Of a group's local copy."""
        return self._folder / str(group)

    def log(self, group: int) -> list[bytes]:
        """The entries of a group's log."""
        return [entry for number in self.heads[group].lists for entry in self._lists[group][number]]

    def advance(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Written]:
        """Folds a batch; gives it back with its features, and what was logged."""
        staged, written = [], Written()
        for group, part in by_group(Records(batch), self._entity, self._groups):
            lists = self._lists.setdefault(group, ([], []))
            before = self.heads.get(group, EMPTY)
            change = advance_group(self.folder(group), self._step, before, lambda group=group: self.log(group), part)  # type: ignore[misc]
            self.heads[group] = change.head
            lists[change.head.round % 2].extend(change.entries)
            if change.ended:
                lists[1 - change.head.round % 2].clear()
            sizes = [len(entry) for entry in change.entries]
            pieces = [size for entry, size in zip(change.entries, sizes, strict=True) if is_snapshot(entry)]
            written = written.plus(Written(sum(sizes) - sum(pieces), sum(pieces), len(pieces), len(pieces)))
            staged.append(change.records.transactions)
        return pa.concat_batches(staged), written
