"""Compares how many records a query has read, by the offsets of its streams, with how many the archive holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from adapters.archive.layout import batch_of_key, query_of_key


class OffsetNote(msgspec.Struct, frozen=True):
    """What a query had read when some batch was committed.

    Attributes:
        query: its name.
        batches: how many of its batches that were: all with a lower number.
        records: records read since the query began, by `stream/shard`.
        at_ms: when it was noted (UTC epoch); everything counted arrived before.
    """

    query: str
    batches: int
    records: dict[str, int]
    at_ms: int


@dataclass(frozen=True)
class Counted:
    """The batches of a query whose records were counted.

    Attributes:
        query: its name.
        first: number of the first batch.
        last: number of the last batch.
        read: records that they read from the streams.
        stored: rows that the archive holds of them: decisions, labels and dead letters.
        missing: records read and not stored, summed over the spans between two notes.
        surplus: rows stored and not read, likewise.
    """

    query: str
    first: int
    last: int
    read: int
    stored: int
    missing: int
    surplus: int


def check_counts(notes: Iterable[OffsetNote], rows: Mapping[str, int], since_ms: int, until_ms: int) -> list[Counted]:
    """Counts every span of batches between two notes.

    Args:
        notes: of all queries.
        rows: rows of each object of the archive by its key.
        since_ms: leave out notes from before; the archive may have expired there.
        until_ms: leave out notes from after; `rows` may lack objects of then.

    Returns:
        One for each query with at least two notes.
    """
    stored = _rows_by_batch(rows)
    by_query: dict[str, list[OffsetNote]] = defaultdict(list)
    for note in notes:
        if since_ms <= note.at_ms <= until_ms:
            by_query[note.query].append(note)
    return [
        _count(query, sorted(found, key=lambda note: note.batches), stored[query])
        for query, found in sorted(by_query.items())
        if len(found) > 1
    ]


def _rows_by_batch(rows: Mapping[str, int]) -> dict[str, dict[int, int]]:
    by_batch: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for key, count in rows.items():
        by_batch[query_of_key(key)][batch_of_key(key)] += count
    return by_batch


def _count(query: str, notes: list[OffsetNote], stored: Mapping[int, int]) -> Counted:
    read = held = missing = surplus = 0
    for before, after in pairwise(notes):
        span_read = sum(count - before.records.get(place, 0) for place, count in after.records.items())
        span_held = sum(count for batch, count in stored.items() if before.batches <= batch < after.batches)
        read, held = read + span_read, held + span_held
        missing += max(0, span_read - span_held)
        surplus += max(0, span_held - span_read)
    return Counted(query, notes[0].batches, notes[-1].batches - 1, read, held, missing, surplus)
