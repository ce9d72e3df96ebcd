"""The stream reader: plans batches from what the fetchers hold, and reads them again after a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)

from adapters.aws.clients import aws_client
from adapters.program.runtime import RUNTIME, Runtime
from fraud.errors import FatalError, MisconfiguredError, RefusedError
from fraud.settings import Aws
from processor.kinesis_source.cursor import TRANSIENT, OpenShard, ShardCursor, list_shards, service_time_ms
from processor.kinesis_source.fetch import Pace, Plan, ShardFetcher, read_range
from processor.kinesis_source.offsets import (
    Offsets,
    Position,
    ShardId,
    follow_shards,
    from_json,
    initial_offsets,
    to_json,
)
from processor.kinesis_source.options import Options
from processor.kinesis_source.rows import to_ipc
from processor.kinesis_source.tips import TipReader
from processor.worker import freeze_imports

log = structlog.get_logger()

_DISCOVER_EVERY_S = 10.0
_READS = 5  # of a shard in the time that one is allowed to the driver where executors read
_UNLIMITED = 1 << 62
_SHARED_BYTES = 2 << 20  # of a part that several shards share: each part costs a task, tens of milliseconds of Python


@dataclass
class HeldRows(InputPartition):
    """Planned parts of shards as an Arrow stream, out of what the fetchers hold."""

    payload: bytes


@dataclass
class ShardRange(InputPartition):
    """A planned part of a shard that must be read again."""

    place: ShardId
    start: Position
    end: Position


class KinesisStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads streams; one reader serves a query for its whole life, in a process of the driver.

    Args:
        options: of the source.
        client: a Kinesis client; None makes one.
        runtime: gives threads and time.
    """

    def __init__(self, options: Options, client: Any = None, runtime: Runtime = RUNTIME) -> None:
        self._options = options
        self._runtime = runtime
        self._connected = client
        self._fetchers: dict[ShardId, ShardFetcher] = {}
        self._progressed = threading.Condition()
        self._discovered_at = -_DISCOVER_EVERY_S
        self._discovered_ok_at = runtime.monotonic()
        self._ended: set[ShardId] = set()
        self._until_ms: int | None = None
        self._planned: Offsets = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_options"])  # type: ignore[misc]

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Nothing: the first batch has no records and pins where the query starts.

        Spark asks again when it repeats the first batch, and "latest" would then be another place.
        """
        return {}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        """The configured bound of a batch."""
        return ReadMaxRows(self._options.max_records)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """Remembers the time by the service's clock: what arrived until then is read, then the query ends."""
        answer = self._client.list_shards(StreamName=self._options.streams[0])
        self._until_ms = service_time_ms(answer) + 999

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Where the next batch ends: what has been fetched, shared out fairly where the limit is smaller."""
        before = from_json(start)
        self._require_streams_of(before)
        if self._options.pause_file is not None and Path(self._options.pause_file).exists():
            self._planned = before
            return start
        while True:
            offsets = self._with_shards(before)
            self._tend_fetchers(offsets)
            if offsets.keys() <= before.keys():
                offsets = self._advance(offsets, limit)
            if any(_moved(before.get(place), position) for place, position in offsets.items()):
                self._planned = offsets
                return to_json(offsets)
            if self._until_ms is None or self._has_reached(self._until_ms, before):
                self._planned = before
                return start
            with self._progressed:
                self._progressed.wait(0.2)

    def reportLatestOffset(self) -> dict[str, Any] | None:  # noqa: N802 - Spark's name
        """How each shard is doing, which the query's progress shows as `latestOffset` of the source."""
        report: dict[str, Any] = {}
        for place, fetcher in sorted(self._fetchers.items()):
            report.setdefault(place[0], {})[place[1]] = fetcher.health(self._planned.get(place, Position("earliest")))
        return report or None

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[HeldRows | ShardRange]:
        """The parts of a batch, in the offsets' order: a shard's rows are in one part, small shards share one."""
        before = from_json(start)
        parts: list[HeldRows | ShardRange] = []
        shared: list[pa.RecordBatch] = []

        def close_shared() -> None:
            if shared:
                parts.append(HeldRows(to_ipc(shared)))
                shared.clear()

        for place, until in from_json(end).items():
            if place not in before or before[place].after == until.after:
                continue
            held = self._held(place, before[place], until)
            if held is None or _bytes(shared) + _bytes(held) > _SHARED_BYTES:
                close_shared()
            if held is None:
                parts.append(ShardRange(place, before[place], until))
            else:
                shared += held
        close_shared()
        return parts

    def _held(self, place: ShardId, after: Position, until: Position) -> list[pa.RecordBatch] | None:
        """The rows of a planned part of a shard; None where they were not fetched."""
        if place not in self._fetchers or self._by_executors:
            return None
        return self._fetchers[place].rows(after, until)

    def read(self, partition: HeldRows | ShardRange) -> Iterator[pa.RecordBatch]:
        """The rows of one part; runs in an executor's Python worker."""
        freeze_imports()
        if isinstance(partition, HeldRows):
            yield from pa.ipc.open_stream(partition.payload)
            return
        cursor = ShardCursor(self._client, partition.place, partition.start, self._options.fail_on_data_loss)
        yield from read_range(cursor, partition.place, partition.end, self._pace, self._runtime)

    def commit(self, end: dict[str, Any]) -> None:
        """Forgets what a finished batch has read."""
        for place, position in from_json(end).items():
            if place not in self._fetchers:
                continue
            self._fetchers[place].drop_through(position)
            if position.closed:
                self._fetchers.pop(place).stop()

    def stop(self) -> None:
        """Ends all fetching."""
        for fetcher in self._fetchers.values():
            fetcher.stop()
        self._fetchers.clear()

    @property
    def _aws(self) -> Aws:
        return Aws(endpoint_url=self._options.endpoint_url, region=self._options.region)

    @property
    def _client(self) -> Any:
        if self._connected is None:
            # One attempt and a short time-out: the fetchers back off by themselves, shard by shard.
            self._connected = aws_client("kinesis", self._aws, max_connections=64, max_attempts=1, read_timeout=10)
        return self._connected

    @cached_property
    def _open_shard(self) -> OpenShard:
        options = self._options
        if self._by_executors:
            return lambda place, at: TipReader(self._client, place, at, options.fail_on_data_loss, self._span_ms)
        if options.reader == "shared":
            return lambda place, position: ShardCursor(self._client, place, position, options.fail_on_data_loss)
        from processor.kinesis_source.fan_out import fan_out  # HTTP/2 is imported where it is used

        return fan_out(self._client, self._aws, options.consumer, options.fail_on_data_loss, self._runtime)

    @property
    def _by_executors(self) -> bool:
        """Whether executors read all records, and the driver finds out where batches end."""
        return self._options.reader == "executors"

    @property
    def _fetch_pace(self) -> Pace:
        """What is pushed is taken as it comes. Executors get most of the reads of a shard that they share."""
        if self._options.reader == "fan_out":
            return Pace(0.0, 0, self._options.stall_s)
        return replace(self._pace, poll_s=_READS * self._pace.poll_s) if self._by_executors else self._pace

    def _span_ms(self) -> int:
        """How much time a batch may span, whose records nobody has counted.

        In it the shards cannot take more than a batch may have, as each is written with at most 1,000 records and 1 MiB
        a second (Kinesis developer guide, quotas and limits).
        """
        shards = max(1, len(self._fetchers))
        seconds = min(self._options.max_records / 1000, self._options.max_bytes / (1 << 20)) / shards
        return max(1000, int(seconds * 1000))

    @property
    def _pace(self) -> Pace:
        return Pace(self._options.poll_ms / 1000, self._options.shard_bytes_per_s, self._options.stall_s)

    def _require_streams_of(self, offsets: Offsets) -> None:
        gone = sorted({stream for stream, _ in offsets} - set(self._options.streams))
        if gone:
            raise MisconfiguredError(
                "streamName", f"lacks {', '.join(gone)}, which the checkpoint has already read from"
            )

    def _tend_fetchers(self, offsets: Offsets) -> None:
        wanted = {place: position for place, position in offsets.items() if not position.closed}
        for place, position in wanted.items():
            if place not in self._fetchers:
                shard = self._open_shard(place, position)
                self._fetchers[place] = ShardFetcher(shard, place, self._fetch_pace, self._progressed, self._runtime)
        for place in wanted:
            self._fetchers[place].buffer_limit = self._options.buffer_bytes // len(wanted)
            self._fetchers[place].check()

    def _advance(self, offsets: Offsets, limit: ReadLimit) -> Offsets:
        if self._by_executors:
            return {place: at if at.closed else self._next_mark(place, at) for place, at in offsets.items()}
        rows = limit.max_rows if isinstance(limit, ReadMaxRows) else _UNLIMITED
        size = limit.max_bytes if isinstance(limit, ReadMaxBytes) else self._options.max_bytes
        if isinstance(limit, ReadAllAvailable):
            size = _UNLIMITED
        everything = {
            place: self._fetchers[place].plan(position, _UNLIMITED, _UNLIMITED, self._until_ms)
            for place, position in offsets.items()
            if not position.closed
        }
        # Small backlogs first: what they leave of their share goes to the large ones, never the other way round.
        places = sorted(everything, key=lambda place: (everything[place].rows, place))
        advanced = dict(offsets)
        for number, place in enumerate(places):
            left = len(places) - number
            plan = everything[place]
            if plan.rows > rows // left or plan.size > size // left:
                plan = self._fetchers[place].plan(offsets[place], rows // left, size // left, self._until_ms)
            rows, size = rows - plan.rows, size - plan.size
            advanced[place] = _counted(offsets[place], plan)
        if places and everything[places[-1]].rows and not any(_moved(offsets[p], advanced[p]) for p in places):
            # Every share was smaller than a record or an aggregate; a batch has at least one.
            place = places[-1]
            least = self._fetchers[place].first_record(offsets[place])
            advanced[place] = _counted(
                offsets[place], self._fetchers[place].plan(offsets[place], *least, self._until_ms)
            )
        return advanced

    def _next_mark(self, place: ShardId, position: Position) -> Position:
        """The last mark of a batch's span, or else the one behind it: its records are few, or it is the first."""
        if self._until_ms is not None and position.read_until_ms > self._until_ms:
            return position
        latest_ms = position.read_until_ms + self._span_ms()
        plan = self._fetchers[place].plan(position, _UNLIMITED, _UNLIMITED, latest_ms)
        if not plan.rows and not plan.complete:
            plan = self._fetchers[place].plan(position, 1, _UNLIMITED, None)
        return replace(plan.position, records=None)

    def _has_reached(self, until_ms: int, offsets: Offsets) -> bool:
        """Whether all that arrived until then is in batches, and no child shard can still appear that has some."""
        reached = all(self._fetchers[p].has_reached(until_ms) for p, at in offsets.items() if not at.closed)
        if reached and self._ended != {place for place, position in offsets.items() if position.closed}:
            return False
        return reached

    def _with_shards(self, offsets: Offsets) -> Offsets:
        """Adds new streams and shards, and forgets those that are gone; a failed look is repeated later."""
        now = self._runtime.monotonic()
        ended = {place for place, position in offsets.items() if position.closed}
        missing = set(self._options.streams) - {stream for stream, _ in offsets}
        if not missing and ended == self._ended and now - self._discovered_at < _DISCOVER_EVERY_S:
            return offsets
        self._discovered_at = now
        try:
            found = offsets
            for stream in self._options.streams:
                shards, now_ms = list_shards(self._client, stream)
                if stream in missing:
                    found = found | initial_offsets(stream, shards, self._options.start, now_ms)
                else:
                    found = follow_shards(found, stream, shards, self._child_start)
        except TRANSIENT as error:
            if isinstance(error, RefusedError):
                raise FatalError(f"streams {', '.join(self._options.streams)} cannot be read: {error}") from error
            if now - self._discovered_ok_at > self._options.stall_s:
                raise FatalError(f"shards could not be listed for {self._options.stall_s} s: {error}") from error
            log.warning("shards_not_listed", problem=str(error))
            self._runtime.sleep(0.2)
            return offsets
        self._ended, self._discovered_ok_at = ended, self._runtime.monotonic()
        return found

    @property
    def _child_start(self) -> str | int:
        """A shard that appears while reading is read from its beginning, unless the query starts at a time."""
        return self._options.start if isinstance(self._options.start, int) else "earliest"


def _bytes(batches: Sequence[pa.RecordBatch]) -> int:
    return sum(batch.nbytes for batch in batches)


def _counted(before: Position, plan: Plan) -> Position:
    return replace(plan.position, records=None if before.records is None else before.records + plan.rows)


def _moved(before: Position | None, after: Position) -> bool:
    """Whether something was read, or a shard begun or ended; that time has passed alone is not worth a batch."""
    return before is None or replace(before, read_until_ms=0) != replace(after, read_until_ms=0)
