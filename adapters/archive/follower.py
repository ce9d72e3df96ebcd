"""Follows the archive while a job writes it: each table once, soon after it was written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, query_of_key

_LOOK_BACK = 64
"""Partitions of a batch finish in any order; so keys are listed again from this many before the last one seen."""


class Since(NamedTuple):
    """Where in a long archive to begin.

    Attributes:
        objects: of what is there already, takes so many of the newest only; at least one.
        hour: leaves out what arrived in earlier hours; None leaves out nothing.
    """

    objects: int
    hour: dt.datetime | None = None


class ArchiveFollower:
    """Reads what a run adds to the archive.

    Args:
        archive: the archive.
        since: where to begin; None with the first object.
        query: whose objects alone; None follows those of all queries.
    """

    def __init__(self, archive: Archive, since: Since | None = None, query: str | None = None) -> None:
        self._archive = archive
        self._since = since
        self._query = query
        self._seen: dict[ArchiveKind, list[str]] = {}

    def new(self, kind: ArchiveKind, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
        """Tables of a kind written since the last call, some columns of each, with their keys.

        A table that cannot be read is an error for the caller, and is read again at the next call.
        """
        seen = self._seen.get(kind)
        if seen is None:
            seen = self._seen[kind] = self._begin(kind)
        seen.sort()
        del seen[:-_LOOK_BACK]
        recent = set(seen)
        after = seen[0] if len(seen) >= _LOOK_BACK else self._first(kind)
        for key in list(self._archive.keys(kind.prefix, after)):
            if key not in recent and self._query in (None, query_of_key(key)):
                table = self._archive.read_table(key, columns)
                seen.append(key)
                yield key, table

    def _first(self, kind: ArchiveKind) -> str:
        if self._since is None or self._since.hour is None:
            return ""
        return f"{kind.prefix}date={self._since.hour:%Y-%m-%d}/hour={self._since.hour:%H}/"

    def _begin(self, kind: ArchiveKind) -> list[str]:
        """What is there already and shall not be read."""
        if self._since is None:
            return []
        return list(self._archive.keys(kind.prefix, self._first(kind)))[: -self._since.objects][-_LOOK_BACK:]
