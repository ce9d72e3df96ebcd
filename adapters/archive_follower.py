"""Follows the archive while a job writes it: each table once, soon after it was written."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from adapters.archive import Archive
from fraud.archive_layout import ArchiveKind
from fraud.settings import Settings

_LOOK_BACK = 64
"""Partitions of a batch finish in any order; so keys are listed again from this many before the last one seen."""

DECISION_COLUMNS = [
    "transaction_id",
    "event_time",
    "sent_at",
    "decided_at",
    "outcome",
    "score",
    "scored_by",
    "reasons",
    "amount_minor",
    "currency",
]


class ArchiveFollower:
    """Reads new decisions and dead letters of a run that began with an empty archive."""

    def __init__(self, settings: Settings) -> None:
        self._archive = Archive(settings)
        self._seen: dict[ArchiveKind, list[str]] = {kind: [] for kind in ArchiveKind}

    def new_decisions(self) -> Iterator[pa.Table]:
        """Decisions written since the last call, some columns."""
        return self._new(ArchiveKind.DECISIONS, DECISION_COLUMNS)

    def new_dead_letters(self) -> Iterator[pa.Table]:
        """Dead letters written since the last call: their reasons."""
        return self._new(ArchiveKind.DEAD_LETTERS, ["reason"])

    def _new(self, kind: ArchiveKind, columns: list[str]) -> Iterator[pa.Table]:
        seen = self._seen[kind]
        recent = set(seen[-_LOOK_BACK:])
        after = seen[-_LOOK_BACK] if len(seen) >= _LOOK_BACK else ""
        for key in list(self._archive.keys(kind.prefix, after)):
            if key not in recent:
                seen.append(key)
                yield self._archive.read_table(key, columns)
        seen.sort()
