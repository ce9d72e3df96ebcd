"""Fetches one shard in the background, ahead of the batches, within bounds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import structlog

from adapters.program.runtime import RUNTIME, Runtime
from fraud.errors import FatalError, ServiceError
from processor.kinesis_source.cursor import RECORDS_PER_CALL, TRANSIENT, ShardCursor, ShardReader
from processor.kinesis_source.offsets import Position, ShardId
from processor.kinesis_source.rows import Chunk

log = structlog.get_logger()

_FIRST_BACKOFF_S = 0.2
_LAST_BACKOFF_S = 5.0
_TYPICAL_RECORD_BYTES = 1024


@dataclass(frozen=True)
class Pace:
    """How fast a shard is read.

    Attributes:
        poll_s: least time between two reads.
        bytes_per_s: most bytes a second; 0 is unlimited.
        stall_s: longest time without an answer; or, behind by what the service says, without a record.
    """

    poll_s: float
    bytes_per_s: int
    stall_s: float


@dataclass
class ShardHealth:
    """How a shard is doing.

    Attributes:
        lag_ms: how far the last record fetched is behind the shard's tip.
        lag_records: records not yet in a batch: those fetched, and an estimate of those not, by the recent rate.
        buffer_bytes: fetched and not yet committed.
        fetch_ms: duration of the last read.
        reads: reads answered so far.
        empty_reads: of these, without a record.
        throttles: reads refused because of the shard's limits.
        failures: reads that failed otherwise.
    """

    lag_ms: int = 0
    lag_records: int = 0
    buffer_bytes: int = 0
    fetch_ms: float = 0.0
    reads: int = 0
    empty_reads: int = 0
    throttles: int = 0
    failures: int = 0


class Plan(NamedTuple):
    """A stretch of a shard for the next batch.

    Attributes:
        position: where it ends.
        rows: how many it has.
        size: their bytes.
        complete: it holds all that was fetched.
    """

    position: Position
    rows: int
    size: int
    complete: bool


class ShardFetcher:
    """Reads a shard from a position on, and keeps what was read until it is dropped.

    Args:
        cursor: where to read.
        place: stream and shard.
        pace: how fast.
        progressed: called after every read.
        runtime: gives the thread and the time.
    """

    def __init__(
        self,
        cursor: ShardReader,
        place: ShardId,
        pace: Pace,
        progressed: threading.Condition,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self.place = place
        self.buffer_limit = 1
        self._cursor = cursor
        self._pace = pace
        self._progressed = progressed
        self._runtime = runtime
        self._health = ShardHealth()
        self._chunks: deque[Chunk] = deque()
        self._lock = threading.Lock()
        self._dropped = threading.Event()
        self._ended = False
        self._read_until_ms = 0
        self._rate_per_ms = 0.0
        self._failure: BaseException | None = None
        self._last_error: BaseException | None = None
        self._progress_at = self._even_at = runtime.monotonic()
        self._says_behind = False
        self._waiting = False
        self._stop = threading.Event()
        runtime.start(self._run, f"fetch-{place[0]}-{place[1]}")

    def check(self) -> None:
        """Raises FatalError where the shard cannot be read.

        A shard that answers is read, however far behind it says that it is: an idle one may say so for ever.
        """
        if isinstance(self._failure, FatalError):
            raise self._failure
        name = f"{self.place[0]}/{self.place[1]}"
        if self._failure is not None:
            raise FatalError(f"{name}: fetching ended unexpectedly: {self._failure!r}") from self._failure
        stalled_s = self._runtime.monotonic() - self._progress_at
        if stalled_s > self._pace.stall_s and not self._ended and not self._waiting:
            raise FatalError(
                f"{name} made no progress for {stalled_s:.0f} s (stallTimeoutSeconds), "
                f"{self._health.lag_ms} ms behind, last error: {self._last_error or 'none'}"
            )

    def plan(self, start: Position, rows: int, size: int, until_ms: int | None) -> Plan:
        """The furthest end behind `start` with at most so many rows and bytes, of records that arrived until then."""
        with self._lock:
            ended, read_until_ms = self._ended, self._read_until_ms
            after, arrival_ms = start.after, start.read_until_ms
            taken_rows = taken_bytes = 0
            for chunk in self._chunks:
                begin = chunk.index_after(start.sequence)
                end = chunk.end_within(begin, rows - taken_rows, size - taken_bytes)
                while until_ms is not None and end > begin and chunk.arrivals_ms[end - 1] > until_ms:
                    end -= 1
                taken_rows += chunk.rows_between(begin, end)
                taken_bytes += chunk.bytes_between(begin, end)
                if end > begin:
                    after, arrival_ms = chunk.names[end - 1], chunk.arrivals_ms[end - 1]
                if end < len(chunk):
                    return Plan(Position(after, False, arrival_ms), taken_rows, taken_bytes, False)
        return Plan(Position(after, ended, max(arrival_ms, read_until_ms)), taken_rows, taken_bytes, True)

    def first_record(self, start: Position) -> tuple[int, int]:
        """Rows and bytes of the first record behind `start`; zeros where there is none yet."""
        with self._lock:
            for chunk in self._chunks:
                begin = chunk.index_after(start.sequence)
                if begin < len(chunk):
                    return chunk.rows_between(begin, begin + 1), chunk.bytes_between(begin, begin + 1)
        return 0, 0

    def has_reached(self, until_ms: int) -> bool:
        """Whether all that arrived until a time has been fetched."""
        with self._lock:
            return self._ended or self._read_until_ms > until_ms

    def rows(self, start: Position, end: Position) -> list[pa.RecordBatch] | None:
        """The rows behind `start` up to and including `end`; None where they are not all kept."""
        with self._lock:
            chunks = list(self._chunks)
        batches = []
        last = -1
        for chunk in chunks:
            begin, finish = chunk.index_after(start.sequence), chunk.index_after(end.sequence)
            if begin < finish:
                batches.append(chunk.rows(begin, finish))
                last = chunk.sequences[finish - 1]
        return batches if last == end.sequence else None

    def drop_through(self, position: Position) -> None:
        """Forgets records up to and including a position, a whole chunk at a time."""
        with self._lock:
            while self._chunks and self._chunks[0].sequences[-1] <= position.sequence:
                self._health.buffer_bytes -= self._chunks.popleft().byte_ends[-1]
        self._dropped.set()

    def health(self, start: Position) -> dict[str, Any]:
        """How the shard is doing, for a query that has read up to `start`."""
        with self._lock:
            waiting = sum(chunk.rows_between(chunk.index_after(start.sequence), len(chunk)) for chunk in self._chunks)
            self._health.lag_records = waiting + round(self._health.lag_ms * self._rate_per_ms)
            return asdict(self._health)

    def stop(self) -> None:
        """Ends fetching."""
        self._stop.set()
        self._dropped.set()
        self._cursor.close()

    def _run(self) -> None:
        try:
            backoff = self._runtime.backoff(_FIRST_BACKOFF_S, _LAST_BACKOFF_S, sleep=self._pause)
            while not self._stop.is_set() and not self._ended:
                if not self._has_room():
                    continue
                began = self._runtime.monotonic()
                try:
                    size = self._fetch()
                except TRANSIENT as error:
                    self._last_error = error
                    throttled = isinstance(error, ServiceError) and error.throttled
                    self._health.throttles += throttled
                    self._health.failures += not throttled
                    backoff.pause()
                    continue
                backoff.succeeded()
                self._health.fetch_ms = round((self._runtime.monotonic() - began) * 1000, 1)
                pause_s = max(self._pace.poll_s, size / self._pace.bytes_per_s if self._pace.bytes_per_s else 0.0)
                self._pause(max(0.0, pause_s - (self._runtime.monotonic() - began)))
        except BaseException as error:
            self._failure = error
        finally:
            with self._progressed:
                self._progressed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Waits, unless fetching ends."""
        self._runtime.wait(self._stop, seconds)

    def _has_room(self) -> bool:
        """Waits while the buffer is full; the job, not the shard, is then what does not progress."""
        self._waiting = self._health.buffer_bytes >= self.buffer_limit
        if self._waiting:
            self._runtime.wait(self._dropped, 1.0)
            self._dropped.clear()
            self._progress_at = self._runtime.monotonic()
        return not self._waiting

    def _fetch(self) -> int:
        room = (self.buffer_limit - self._health.buffer_bytes) // self._record_bytes()
        if self._pace.bytes_per_s:
            # One call gives a second's share at most: Kinesis lets nobody read while what it gave is beyond the limit.
            room = min(room, self._pace.bytes_per_s // self._record_bytes())
        fetched = self._cursor.read(max(1, min(RECORDS_PER_CALL, room)))
        chunk = Chunk(self.place, fetched.records) if fetched.records else None
        with self._lock:
            self._progress_at = self._runtime.monotonic()
            if chunk is not None or fetched.lag_ms == 0:
                self._even_at, self._says_behind = self._progress_at, False
            self._health.reads += 1
            self._health.empty_reads += chunk is None
            self._health.lag_ms = fetched.lag_ms
            if chunk is not None:
                self._chunks.append(chunk)
                self._health.buffer_bytes += chunk.byte_ends[-1]
                self._read_until_ms = chunk.arrivals_ms[-1]
                self._rate_per_ms = len(chunk) / max(1, chunk.arrivals_ms[-1] - chunk.arrivals_ms[0])
            else:
                self._read_until_ms = max(self._read_until_ms, fetched.at_ms - fetched.lag_ms)
            self._ended = fetched.ended
        self._look_again(fetched.lag_ms)
        with self._progressed:
            self._progressed.notify_all()
        return chunk.read_bytes if chunk is not None else 0

    def _look_again(self, lag_ms: int) -> None:
        """Asks for the place again where a shard has long given no record and still says that it is behind."""
        now = self._runtime.monotonic()
        if now - self._even_at < self._pace.stall_s:
            return
        self._cursor.renew()
        self._even_at = now
        if not self._says_behind:
            self._says_behind = True
            log.warning(
                "shard_gives_nothing",
                stream=self.place[0],
                shard=self.place[1],
                lag_ms=lag_ms,
                problem=f"no record for {self._pace.stall_s:.0f} s (stallTimeoutSeconds), though it says that it is "
                "behind; reading goes on with a new iterator (docs/runbooks/shard-stuck.md)",
            )

    def _record_bytes(self) -> int:
        with self._lock:
            if not self._chunks:
                return _TYPICAL_RECORD_BYTES
            return max(1, self._chunks[-1].byte_ends[-1] // len(self._chunks[-1]))


def read_range(
    cursor: ShardCursor, place: ShardId, end: Position, pace: Pace, runtime: Runtime = RUNTIME
) -> Iterator[pa.RecordBatch]:
    """Reads a planned range again, up to and including `end`, in an executor.

    Raises:
        FatalError: the shard ends before `end`, its records were trimmed, or it makes no progress.
    """
    deadline_s = runtime.monotonic() + pace.stall_s
    backoff = runtime.backoff(_FIRST_BACKOFF_S, _LAST_BACKOFF_S, deadline_s=deadline_s)
    while True:
        try:
            fetched = cursor.read()
        except TRANSIENT as error:
            if not backoff.pause():
                raise FatalError(
                    f"{place[0]}/{place[1]} could not be read for {pace.stall_s:.0f} s: {error}"
                ) from error
            continue
        size = 0
        if fetched.records:
            deadline_s = runtime.monotonic() + pace.stall_s
            chunk = Chunk(place, fetched.records)
            size = chunk.read_bytes
            finish = chunk.index_after(end.sequence)
            if finish:
                yield chunk.rows(0, finish)
            if chunk.sequences[-1] >= end.sequence:
                return
        backoff.succeeded(deadline_s)
        if fetched.ended or runtime.monotonic() > deadline_s:
            raise FatalError(f"{place[0]}/{place[1]} ends before {end.after}, which an earlier batch planned to read")
        runtime.sleep(max(pace.poll_s, size / pace.bytes_per_s if pace.bytes_per_s else 0.0))
