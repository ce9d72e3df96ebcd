"""Reads one shard forward: iterators, their renewal, repeated records, trimmed data."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import structlog

from fraud.errors import FatalError, RefusedError, ServiceError, UnavailableError
from processor.kinesis_source.offsets import EARLIEST, Position, Shard, ShardId
from processor.kinesis_source.rows import Record

log = structlog.get_logger()

RECORDS_PER_CALL = 10_000
"""Most records of one GetRecords call (Kinesis API reference)."""

MIN_RETENTION_MS = 24 * 3_600_000
"""Kinesis trims nothing younger (Kinesis developer guide, data retention period)."""

NEAR_TRIMMING_MS = 23 * 3_600_000
"""So far behind the tip, every read checks that it continues where the last one ended."""

TRANSIENT = (ServiceError, KeyError, ValueError)
"""What one call may fail with and a later one may not: throttled, refused, cut off, unreadable."""

EXPIRED = "ExpiredIteratorException"
"""Code of an iterator that was not used for five minutes; another one leads to the same place."""

_NOT_FOUND = "ResourceNotFoundException"


class Fetched(NamedTuple):
    """What one read gave.

    Attributes:
        records: new records in order.
        ended: the shard has ended behind them.
        lag_ms: how far the last of them is behind the shard's tip.
        at_ms: when this was so, by the service's clock.
    """

    records: list[Record]
    ended: bool
    lag_ms: int
    at_ms: int


def service_time_ms(answer: dict[str, Any]) -> int:
    """The time of an answer by the service's clock in whole seconds: ours may be wrong."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date is None:
        return time.time_ns() // 1_000_000
    return int(parsedate_to_datetime(date).timestamp()) * 1000


def list_shards(client: Any, stream: str) -> tuple[list[Shard], int]:
    """The shards of a stream, those included that have ended and still have records; and the service's time."""
    shards: list[Shard] = []
    arguments = {"StreamName": stream}
    while True:
        answer = client.list_shards(**arguments)
        shards += [
            Shard(
                shard["ShardId"],
                tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)),
                "EndingSequenceNumber" in shard["SequenceNumberRange"],
            )
            for shard in answer["Shards"]
        ]
        if not answer.get("NextToken"):
            return shards, service_time_ms(answer)
        arguments = {"NextToken": answer["NextToken"]}


class ShardReader(Protocol):
    """Reads a shard forward from a place on. Which way the records come is nobody else's business."""

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:
        """What comes next. After an error the next read continues at the same place.

        Args:
            limit: most records wanted; what is pushed comes whole.

        Raises:
            FatalError: the shard cannot be read, or records were trimmed; waiting does not fix it.
            TRANSIENT: this call failed.
        """

    def renew(self) -> None:
        """Has the next read ask for the place again, and check that it continues where the last one ended."""

    def close(self) -> None:
        """Gives back what it holds, and ends a read that waits."""


OpenShard = Callable[[ShardId, Position], ShardReader]
"""Opens a shard, to be read on from a position."""


class Track:
    """How far a shard has been read, and whether what comes continues there.

    Args:
        client: a Kinesis client.
        place: stream and shard.
        position: where to go on.
        fail_on_data_loss: whether trimmed data is an error, or logged and skipped.

    Attributes:
        position: behind what was taken.
        checking: the last record taken was asked for again, and has not been looked for yet.
    """

    def __init__(self, client: Any, place: ShardId, position: Position, fail_on_data_loss: bool) -> None:
        self._client = client
        self._place = place
        self._fail_on_data_loss = fail_on_data_loss
        self.checking = False
        self.position = position

    def begin(self, checks: bool = True) -> tuple[str, str | float | None]:
        """Where to read on, as the API has it: the type of a position, and its sequence number or time.

        Args:
            checks: whether what comes is looked at for the last record taken.
        """
        after = self.position.after
        if after == EARLIEST:
            return "TRIM_HORIZON", None
        if after.startswith("@"):
            return "AT_TIMESTAMP", int(after[1:]) / 1000
        if not checks:
            return "AFTER_SEQUENCE_NUMBER", after
        # At, not after, the last record: if it does not come, records behind it may be gone too.
        self.checking = True
        return "AT_SEQUENCE_NUMBER", after

    def take(self, records: list[Record], ended: bool, lag_ms: int, at_ms: int) -> Fetched:
        """What is new of records that came; see `Fetched`.

        Raises:
            FatalError: records behind the place are lost.
        """
        recent = self.position.read_until_ms >= at_ms - MIN_RETENTION_MS
        if self.checking and (records or lag_ms == 0 or recent):
            self._check_continues(records, at_ms)
            self.checking = False
        seen = self.position.sequence
        new = (
            records
            if not records or int(records[0].sequence_number) > seen
            else [record for record in records if int(record.sequence_number) > seen]
        )
        if new:
            self.position = Position(new[-1].sequence_number, ended, new[-1].arrival_ms)
        elif not self.checking:
            read_until_ms = max(self.position.read_until_ms, at_ms - lag_ms)
            self.position = Position(self.position.after, ended, read_until_ms)
        return Fetched(new, ended, lag_ms, at_ms)

    def failed(self, error: Exception, operation: str) -> Fetched:
        """What a failed call means where it means that the shard is gone.

        Raises:
            FatalError: the shard cannot be read.
            TRANSIENT: the error itself, which may pass.
        """
        if isinstance(error, ServiceError) and error.code == _NOT_FOUND:
            # The same code for a shard that expired and for one that is not known everywhere yet.
            if self._is_listed():
                raise UnavailableError("kinesis", operation, _NOT_FOUND, "though the stream lists it") from error
            self._lost("to its end", "the shard is gone")
            return Fetched([], True, 0, 0)
        if isinstance(error, RefusedError):
            raise FatalError(f"{self._name} cannot be read: {error}") from error
        raise error

    def _is_listed(self) -> bool:
        stream, shard = self._place
        try:
            return any(listed.id == shard for listed in list_shards(self._client, stream)[0])
        except RefusedError as error:
            raise FatalError(f"{self._name} cannot be read: {error}") from error

    @property
    def _name(self) -> str:
        return f"{self._place[0]}/{self._place[1]}"

    def _check_continues(self, records: list[Record], at_ms: int) -> None:
        if records and int(records[0].sequence_number) <= self.position.sequence:
            return
        if self.position.read_until_ms >= at_ms - MIN_RETENTION_MS:
            return  # only what had been read is old enough to be gone
        first_ms = records[0].arrival_ms if records else at_ms
        self._lost(f"to {_utc(first_ms)}", "they were trimmed before they were read")

    def _lost(self, until: str, why: str) -> None:
        read_until = _utc(self.position.read_until_ms) if self.position.read_until_ms else "its beginning"
        message = f"{self._name}: records from {read_until} {until} are lost: {why}"
        if self._fail_on_data_loss:
            raise FatalError(f"{message}; set failOnDataLoss=false to go on without them")
        log.error("source_data_loss", stream=self._place[0], shard=self._place[1], problem=message)


class ShardCursor:
    """Reads a shard by GetRecords, whose 5 calls and 2 MiB a second all readers of the shard share; a `ShardReader`.

    Args:
        client: a Kinesis client.
        place: stream and shard.
        position: where to go on.
        fail_on_data_loss: whether trimmed data is an error, or logged and skipped.
    """

    def __init__(self, client: Any, place: ShardId, position: Position, fail_on_data_loss: bool) -> None:
        self._client = client
        self._place = place
        self._track = Track(client, place, position, fail_on_data_loss)
        self._iterator: str | None = None

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:
        """See `ShardReader.read`."""
        try:
            return self._read(limit)
        except TRANSIENT as error:
            self._iterator = None
            if isinstance(error, ServiceError) and error.code == EXPIRED:
                return self._read(limit)
            return self._track.failed(error, "GetRecords")

    def renew(self) -> None:
        """See `ShardReader.renew`."""
        self._iterator = None

    def close(self) -> None:
        """Holds nothing."""

    def _read(self, limit: int) -> Fetched:
        if self._iterator is None:
            self._iterator = self._open()
        # The check reads the last known record again: room for one more.
        answer = self._client.get_records(ShardIterator=self._iterator, Limit=min(RECORDS_PER_CALL, limit + 1))
        records = [record_of(record) for record in answer["Records"]]
        lag_ms = int(answer.get("MillisBehindLatest") or 0)
        following = answer.get("NextShardIterator")
        fetched = self._track.take(records, following is None, lag_ms, service_time_ms(answer))
        self._iterator = None if lag_ms > NEAR_TRIMMING_MS else following
        return fetched

    def _open(self) -> str:
        return open_iterator(self._client, self._place, *self._track.begin())[0]


def open_iterator(client: Any, place: ShardId, kind: str, value: str | float | None = None) -> tuple[str, int]:
    """An iterator of GetRecords, and the service's time.

    Args:
        client: a Kinesis client.
        place: stream and shard.
        kind: type of the position at which it begins.
        value: its sequence number or time in seconds; None where it has neither.
    """
    named = "Timestamp" if kind == "AT_TIMESTAMP" else "StartingSequenceNumber"
    where = {} if value is None else {named: value}
    answer = client.get_shard_iterator(StreamName=place[0], ShardId=place[1], ShardIteratorType=kind, **where)
    return str(answer["ShardIterator"]), service_time_ms(answer)


def record_of(record: dict[str, Any]) -> Record:
    """A record as GetRecords gives it."""
    arrival_ms = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return Record(record["SequenceNumber"], arrival_ms, record["PartitionKey"], record["Data"])


def _utc(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
