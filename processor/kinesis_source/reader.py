"""The stream reader: plans batches from what the fetchers hold, and reads them again after a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows

from adapters.aws import aws_client
from fraud.settings import Aws
from processor.kinesis_source.fetch import Budget, ShardFetcher, read_range
from processor.kinesis_source.offsets import (
    Offsets,
    Place,
    Position,
    Shard,
    from_json,
    initial_offsets,
    to_json,
    with_children,
)
from processor.kinesis_source.options import Options
from processor.kinesis_source.rows import ROW_SCHEMA, to_rows

_DISCOVER_EVERY_S = 10.0


@dataclass
class ShardRange(InputPartition):
    """A planned part of a shard: its records, or where to read them again."""

    place: Place
    start: Position
    end: Position
    payload: bytes | None


class KinesisStreamReader(DataSourceStreamReader):
    """Reads streams; one reader serves a query for its whole life, in a process of the driver."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fetchers: dict[Place, ShardFetcher] = {}
        self._connected: Any = None
        self._budget: Budget | None = None
        self._discovered_at = 0.0
        self._ended: set[Place] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_options"])  # type: ignore[misc]

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Where a new query starts."""
        now_ms = time.time_ns() // 1_000_000
        offsets: Offsets = {}
        for stream in self._options.streams:
            offsets |= initial_offsets(stream, self._list_shards(stream), self._options.start, now_ms)
        return to_json(offsets)

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        """The configured bound of a batch."""
        return ReadMaxRows(self._options.max_records)

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Where the next batch ends: what has been fetched, shared out fairly where the limit is smaller."""
        offsets = self._with_new_shards(from_json(start))
        rows = limit.max_rows if isinstance(limit, ReadMaxRows) else None
        unlimited = isinstance(limit, ReadAllAvailable)
        held = {place: self._fetcher(place, at).kept() for place, at in offsets.items() if not at.closed}
        open_places = sorted(held, key=lambda place: len(held[place][0]))
        for number, place in enumerate(open_places):
            records, ended = held[place]
            if not unlimited and rows is not None:
                share = rows // (len(open_places) - number)
                rows -= min(share, len(records))
                ended = ended and len(records) <= share
                records = records[:share]
            after = records[-1].sequence_number if records else offsets[place].after
            offsets[place] = Position(after, closed=ended)
        return to_json(offsets)

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[ShardRange]:
        """The parts of a batch, with their records where the fetchers still hold them."""
        before = from_json(start)
        ranges = []
        for place, until in from_json(end).items():
            since = before.get(place, Position("earliest"))
            if since.after != until.after:
                ranges.append(ShardRange(place, since, until, self._payload(place, since, until)))
        return ranges

    def read(self, partition: ShardRange) -> Iterator[pa.RecordBatch]:
        """The rows of one part; runs in an executor's Python worker."""
        if partition.payload is not None:
            yield from pa.ipc.open_stream(partition.payload)
            return
        yield to_rows(partition.place, read_range(self._client, partition.place, partition.start, partition.end))

    def commit(self, end: dict[str, Any]) -> None:
        """Forgets what a finished batch has read."""
        for place, position in from_json(end).items():
            fetcher = self._fetchers.get(place)
            if fetcher is None:
                continue
            if position.after.isdigit():
                fetcher.drop_through(position.after)
            if position.closed:
                self._fetchers.pop(place).stop()

    def stop(self) -> None:
        """Ends all fetching."""
        for fetcher in self._fetchers.values():
            fetcher.stop()
        self._fetchers.clear()

    @property
    def _client(self) -> Any:
        if self._connected is None:
            aws = Aws(endpoint_url=self._options.endpoint_url, region=self._options.region)
            self._connected = aws_client("kinesis", aws, max_connections=64)
        return self._connected

    def _fetcher(self, place: Place, position: Position) -> ShardFetcher:
        if place not in self._fetchers:
            self._budget = self._budget or Budget(self._options.buffer_bytes)
            self._fetchers[place] = ShardFetcher(
                self._client, place, position, self._options.poll_ms / 1000, self._budget
            )
        return self._fetchers[place]

    def _payload(self, place: Place, since: Position, until: Position) -> bytes | None:
        fetcher = self._fetchers.get(place)
        if fetcher is None:
            return None
        records = [r for r in fetcher.kept()[0] if int(r.sequence_number) <= int(until.after)]
        if since.after.isdigit():
            records = [r for r in records if int(r.sequence_number) > int(since.after)]
        complete = bool(records) and records[-1].sequence_number == until.after
        return _to_ipc(to_rows(place, records)) if complete else None

    def _with_new_shards(self, offsets: Offsets) -> Offsets:
        now = time.monotonic()
        ended = {place for place, position in offsets.items() if position.closed}
        if ended == self._ended and now - self._discovered_at < _DISCOVER_EVERY_S:
            return offsets
        self._discovered_at, self._ended = now, ended
        for stream in self._options.streams:
            offsets = with_children(offsets, stream, self._list_shards(stream))
        return offsets

    def _list_shards(self, stream: str) -> list[Shard]:
        pages = self._client.get_paginator("list_shards").paginate(StreamName=stream)
        return [
            Shard(
                shard["ShardId"],
                tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)),
                "EndingSequenceNumber" in shard["SequenceNumberRange"],
            )
            for page in pages
            for shard in page["Shards"]
        ]


def _to_ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ROW_SCHEMA) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
