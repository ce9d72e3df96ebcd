"""Offsets: how far each shard has been read, as JSON that Spark keeps in its checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EARLIEST = "earliest"


@dataclass(frozen=True)
class Position:
    """How far a shard has been read.

    Attributes:
        after: sequence number of the last record read; or `earliest`, or `@` and a time in milliseconds, before any.
        closed: the shard has ended and was read to its end.
        read_until_ms: what arrived before this time has been read (UTC epoch); 0 before any read.
        records: how many the query has read from the shard, those inside aggregates counted one by one; None from the
            first batch on that executors read, for the driver has not seen its records.
    """

    after: str
    closed: bool = False
    read_until_ms: int = 0
    records: int | None = 0

    @property
    def sequence(self) -> int:
        """The sequence number as an integer; -1 before any record."""
        return int(self.after) if self.after.isdigit() else -1


ShardId = tuple[str, str]
"""A stream and one of its shards."""

Offsets = dict[ShardId, Position]


@dataclass(frozen=True)
class Shard:
    """A shard as ListShards describes it."""

    id: str
    parents: tuple[str, ...]
    closed: bool


def to_json(offsets: Offsets) -> dict[str, dict[str, dict[str, Any]]]:
    """The stored form: by stream and shard, in stable order."""
    streams: dict[str, dict[str, dict[str, Any]]] = {}
    for (stream, shard), position in sorted(offsets.items()):
        streams.setdefault(stream, {})[shard] = {
            "after": position.after,
            "closed": position.closed,
            "read_until_ms": position.read_until_ms,
            "records": position.records,
        }
    return streams


def from_json(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Offsets:
    """Reads the stored form."""
    return {
        (stream, shard): Position(
            position["after"], position["closed"], position.get("read_until_ms", 0), position.get("records", 0)
        )
        for stream, shards in stored.items()
        for shard, position in shards.items()
    }


def initial_offsets(stream: str, shards: Iterable[Shard], start: str | int, now_ms: int) -> Offsets:
    """Where a new query starts in one stream.

    From the earliest record or a time only shards without living parents start; their children follow when they are
    drained. `latest` is the time now, and shards that have ended are done with.
    """
    shards = list(shards)
    if start == "latest":
        return {(stream, shard.id): Position(f"@{now_ms}", shard.closed, now_ms) for shard in shards}
    known = {shard.id for shard in shards}
    return {(stream, shard.id): child_start(start) for shard in shards if not known.intersection(shard.parents)}


def child_start(start: str | int) -> Position:
    """Where a shard starts that a query meets later: its first record, but nothing before the start time."""
    return Position(f"@{start}", read_until_ms=start) if isinstance(start, int) else Position(EARLIEST)


def follow_shards(offsets: Offsets, stream: str, shards: Iterable[Shard], start: str | int) -> Offsets:
    """Adds shards whose parents are drained, and forgets drained ones that the stream no longer lists.

    A child is read only when every parent that still exists was read to its end: else order per key would be lost.
    """
    shards = list(shards)
    known = {shard.id for shard in shards}

    def drained(parent: str) -> bool:
        position = offsets.get((stream, parent))
        return parent not in known if position is None else position.closed

    kept = {
        place: position
        for place, position in offsets.items()
        if place[0] != stream or place[1] in known or not position.closed
    }
    added = {
        (stream, shard.id): child_start(start)
        for shard in shards
        if (stream, shard.id) not in offsets and all(drained(parent) for parent in shard.parents)
    }
    return kept | added
