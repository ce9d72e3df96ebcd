"""Follows streams to their ends outside Spark: every shard in turn, resharding included, from recorded positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fraud.errors import FatalError
from processor.kinesis_source.aggregation import unpack
from processor.kinesis_source.cursor import (
    RECORDS_PER_CALL,
    TRANSIENT,
    Fetched,
    OpenShard,
    ShardCursor,
    ShardReader,
    list_shards,
)
from processor.kinesis_source.offsets import (
    Offsets,
    Position,
    ShardId,
    follow_shards,
    from_json,
    initial_offsets,
    to_json,
)
from processor.kinesis_source.rows import Record

_LIST_EVERY_S = 30.0
_TYPICAL_RECORD_BYTES = 1024

Arrival = tuple[str, str, str, int, int]
"""Stream, shard, sequence number, sub-sequence, arrival in UTC milliseconds."""


class Read(NamedTuple):
    """What one read of a shard gave.

    Attributes:
        place: stream and shard.
        position: behind the records, in the stored form of offsets.
        records: arrival and bytes of each, those inside aggregates one by one.
        lag_ms: how far the last of them is behind the shard's tip.
    """

    place: ShardId
    position: Mapping[str, Any]
    records: Sequence[tuple[Arrival, bytes]]
    lag_ms: int


class StreamsReader:
    """Reads all shards of some streams.

    Args:
        client: a Kinesis client.
        streams: their names.
        positions: where to go on, in the stored form of offsets; streams that are missing begin at `start`.
        start: `earliest` or `latest`.
        clock: seconds that never go back.
        open_shard: opens a shard at a position; None reads it by `ShardCursor`.
    """

    def __init__(
        self,
        client: Any,
        streams: Sequence[str],
        positions: Mapping[str, Any],
        start: str,
        clock: Callable[[], float] = time.monotonic,
        open_shard: OpenShard | None = None,
    ) -> None:
        self._client = client
        self._streams = streams
        self._start = start
        self._offsets: Offsets = from_json(positions)
        self._open_shard = open_shard or self._open_shared
        self._readers: dict[ShardId, ShardReader] = {}
        self._clock = clock
        self._listed_s: float | None = None

    def read(self) -> list[Read]:
        """What has come in each shard since the last call.

        Raises:
            FatalError: a shard cannot be read on; records are lost.
            ServiceError: a call failed; the next one goes on.
        """
        self._follow_shards()
        return [found for place in sorted(self._offsets) if (found := self._read(place)) is not None]

    def close(self) -> None:
        """Gives back what the readers of the shards hold."""
        for reader in self._readers.values():
            reader.close()

    def _follow_shards(self) -> None:
        now_s = self._clock()
        if self._listed_s is not None and now_s - self._listed_s < _LIST_EVERY_S:
            return
        for stream in self._streams:
            shards, now_ms = list_shards(self._client, stream)
            if any(place[0] == stream for place in self._offsets):
                start = self._start if self._start == "earliest" else now_ms
                self._offsets = follow_shards(self._offsets, stream, shards, start)
            else:
                self._offsets |= initial_offsets(stream, shards, self._start, now_ms)
        self._listed_s = now_s

    def _read(self, place: ShardId) -> Read | None:
        position = self._offsets[place]
        if position.closed:
            return None
        reader = self._readers.get(place)
        if reader is None:
            reader = self._readers[place] = self._open_shard(place, position)
        try:
            fetched = reader.read()
        except TRANSIENT as error:
            if isinstance(error, FatalError):
                raise
            return Read(place, self._stored(place), [], 1 << 40)  # not known to be at its end
        after = fetched.records[-1].sequence_number if fetched.records else position.after
        read_until_ms = max(position.read_until_ms, fetched.at_ms - fetched.lag_ms)
        self._offsets[place] = replace(position, after=after, closed=fetched.ended, read_until_ms=read_until_ms)
        if fetched.ended:
            self._readers.pop(place).close()
            self._listed_s = None  # its children may begin
        return Read(place, self._stored(place), _records(place, fetched.records), fetched.lag_ms)

    def _open_shared(self, place: ShardId, position: Position) -> ShardReader:
        return ShardCursor(self._client, place, position, True)

    def _stored(self, place: ShardId) -> Mapping[str, Any]:
        return to_json({place: self._offsets[place]})[place[0]][place[1]]


class Paced:
    """Reads a shard with no more than a share of the bytes that its readers have together; a `ShardReader`.

    Args:
        reader: what to read.
        bytes_per_s: the share.
        clock: seconds that never go back.
    """

    def __init__(self, reader: ShardReader, bytes_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._paid_s = 0.0
        self._record_bytes = _TYPICAL_RECORD_BYTES
        self._said: Fetched | None = None

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:
        """See `ShardReader.read`; nothing new until what came before is within the share."""
        now_s = self._clock()
        if self._said is not None and now_s < self._paid_s:
            return self._said._replace(records=[])
        fetched = self._reader.read(max(1, min(limit, self._bytes_per_s // self._record_bytes)))
        size = sum(len(record.data) for record in fetched.records)
        self._paid_s = now_s + size / self._bytes_per_s
        if fetched.records:
            self._record_bytes = max(1, size // len(fetched.records))
        self._said = fetched
        return fetched

    def renew(self) -> None:
        """See `ShardReader.renew`."""
        self._reader.renew()

    def close(self) -> None:
        """See `ShardReader.close`."""
        self._reader.close()


def _records(place: ShardId, records: Sequence[Record]) -> list[tuple[Arrival, bytes]]:
    stream, shard = place
    return [
        ((stream, shard, record.sequence_number, sub, record.arrival_ms), data)
        for record in records
        for sub, data in enumerate([inside.data for inside in unpack(record.data) or ()] or [record.data])
    ]
