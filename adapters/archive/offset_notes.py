"""Notes in the archive of how many records a query has read, by the stream's offsets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import msgspec

from adapters.archive.archive import Archive
from adapters.archive.layout import OFFSETS_PREFIX, offsets_key
from adapters.archive.offset_check import OffsetNote


class OffsetNotes:
    """The notes of a query.

    Args:
        archive: keeps them.
        query: its name.
        clock_ms: UTC milliseconds.
        number_of: a batch's number in the archive.
        repeats: whether the query may read records again: until it has passed what it noted before, it notes nothing.
    """

    def __init__(
        self,
        archive: Archive,
        query: str,
        clock_ms: Callable[[], int],
        number_of: Callable[[int], int] = int,
        *,
        repeats: bool = False,
    ) -> None:
        self._archive = archive
        self._query = query
        self._clock_ms = clock_ms
        self._number_of = number_of
        self._before = self._furthest() if repeats else {}

    def leave(self, batches: int, records: dict[str, int]) -> None:
        """Notes how many records its first batches have read; a note that is there for as many batches stays.

        Args:
            batches: how many are committed, as the query counts them.
            records: by `stream/shard`.
        """
        if any(records[place] < count for place, count in self._before.items() if place in records):
            return
        number = self._number_of(batches)
        note = OffsetNote(self._query, number, records, self._clock_ms())
        self._archive.put_new(offsets_key(self._query, number), msgspec.json.encode(note))

    def _furthest(self) -> dict[str, int]:
        """The most that was noted of each shard."""
        furthest: dict[str, int] = {}
        for note in read_notes(self._archive):
            if note.query == self._query:
                furthest |= {place: max(count, furthest.get(place, 0)) for place, count in note.records.items()}
        return furthest


def read_notes(archive: Archive, since_ms: int = 0) -> Iterator[OffsetNote]:
    """The notes of all queries, each one's newest first, until one that is older than a time."""
    by_query: dict[str, list[str]] = defaultdict(list)
    for key in archive.keys(OFFSETS_PREFIX):
        by_query[key.split("/")[1]].append(key)
    for keys in by_query.values():
        for key in reversed(keys):
            data = archive.get(key)
            if data is None:
                continue
            note = msgspec.json.decode(data, type=OffsetNote)
            if note.at_ms < since_ms:
                break
            yield note
