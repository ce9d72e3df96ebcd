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
    """

    after: str
    closed: bool = False

    @property
    def iterator(self) -> dict[str, Any]:
        """Arguments of GetShardIterator that continue here."""
        if self.after == EARLIEST:
            return {"ShardIteratorType": "TRIM_HORIZON"}
        if self.after.startswith("@"):
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": int(self.after[1:]) / 1000}
        return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self.after}


Place = tuple[str, str]
"""A stream and one of its shards."""

Offsets = dict[Place, Position]


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
        streams.setdefault(stream, {})[shard] = {"after": position.after, "closed": position.closed}
    return streams


def from_json(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Offsets:
    """Reads the stored form."""
    return {
        (stream, shard): Position(position["after"], position["closed"])
        for stream, shards in stored.items()
        for shard, position in shards.items()
    }


def initial_offsets(stream: str, shards: Iterable[Shard], start: str | int, now_ms: int) -> Offsets:
    """Where a new query starts in one stream.

    From the earliest record only shards without living parents start; their children follow when they are drained.
    From a time every shard starts there; `latest` is the time now, so that a restart before the first batch skips
    nothing, and shards that have ended are done with.
    """
    shards = list(shards)
    if start == EARLIEST:
        known = {shard.id for shard in shards}
        return {(stream, s.id): Position(EARLIEST) for s in shards if not known.intersection(s.parents)}
    after = f"@{now_ms if start == 'latest' else start}"
    return {(stream, s.id): Position(after, closed=s.closed and start == "latest") for s in shards}


def with_children(offsets: Offsets, stream: str, shards: Iterable[Shard]) -> Offsets:
    """Adds shards whose parents are all drained or unknown: only then may they be read, or order would be lost."""
    added = {
        (stream, shard.id): Position(EARLIEST)
        for shard in shards
        if (stream, shard.id) not in offsets
        and all(offsets.get((stream, parent), Position("", True)).closed for parent in shard.parents)
    }
    return offsets | added
