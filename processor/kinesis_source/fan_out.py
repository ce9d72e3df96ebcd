"""Enhanced fan-out: a registered consumer has 2 MiB a second of each shard for itself, pushed within about 70 ms."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from adapters.aws.shard_subscription import AGAIN_AFTER_S, Pushed, ShardSubscription, caller_of
from adapters.program.runtime import RUNTIME, Runtime
from fraud.errors import FatalError, ServiceError, UnavailableError
from fraud.settings import Aws
from processor.kinesis_source.cursor import (
    MIN_RETENTION_MS,
    NEAR_TRIMMING_MS,
    RECORDS_PER_CALL,
    TRANSIENT,
    Fetched,
    OpenShard,
    ShardReader,
    Track,
)
from processor.kinesis_source.offsets import Position, ShardId
from processor.kinesis_source.rows import Record

log = structlog.get_logger()

_FIRST_BACKOFF_S = 0.2
_LAST_BACKOFF_S = 5.0
_REGISTERED_S = 120.0
_AHEAD_BYTES = 8 << 20
_UNKNOWN_LAG_MS = 1 << 40

Subscribe = Callable[[str, str, dict[str, Any]], ShardSubscription]
"""Subscribes a consumer, by its ARN, to a shard, from a starting position as the API has it on."""


def fan_out(client: Any, aws: Aws, consumer: str, fail_on_data_loss: bool, runtime: Runtime = RUNTIME) -> OpenShard:
    """Opens shards as a registered consumer of their streams.

    Args:
        client: a Kinesis client.
        aws: where Kinesis is.
        consumer: its name, in every stream the same.
        fail_on_data_loss: whether trimmed data is an error, or logged and skipped.
        runtime: gives the time.
    """
    subscribe = partial(ShardSubscription, caller_of(aws))
    consumers: dict[str, str] = {}

    def open_shard(place: ShardId, position: Position) -> ShardReader:
        stream = place[0]
        if stream not in consumers:
            consumers[stream] = registered_consumer(client, stream, consumer, runtime)
        return FanOutCursor(client, subscribe, consumers[stream], place, position, fail_on_data_loss, runtime)

    return open_shard


def registered_consumer(client: Any, stream: str, name: str, runtime: Runtime = RUNTIME) -> str:
    """The ARN of a stream's consumer, which is registered where there is none yet, once it may subscribe.

    Args:
        client: a Kinesis client.
        stream: the stream's name.
        name: the consumer's.
        runtime: gives the time.

    Raises:
        ServiceError: it cannot be registered: no right, or a limit (20 consumers a stream, 5 being registered).
    """
    summary = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    named = {"StreamARN": summary["StreamARN"], "ConsumerName": name}
    until_s = runtime.monotonic() + _REGISTERED_S
    backoff = runtime.backoff(_FIRST_BACKOFF_S, _LAST_BACKOFF_S, deadline_s=until_s)
    while True:
        try:
            found = _described(client, named) or client.register_stream_consumer(**named)["Consumer"]
            if found["ConsumerStatus"] == "ACTIVE":
                return str(found["ConsumerARN"])
            problem = UnavailableError(
                "kinesis", "RegisterStreamConsumer", found["ConsumerStatus"], f"consumer {name} of {stream}"
            )
        except UnavailableError as error:  # throttled, or another process registers it at the same time
            problem = error
        if not backoff.pause():
            raise problem


def _described(client: Any, named: dict[str, str]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.describe_stream_consumer(**named)["ConsumerDescription"]
    except ServiceError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return found


class FanOutCursor:
    """Reads a shard by a subscription, which is renewed as often as needed; a `ShardReader`.

    Args:
        client: a Kinesis client, which lists shards where one seems to be gone.
        subscribe: subscribes to a shard.
        consumer: ARN of the consumer.
        place: stream and shard.
        position: where to go on.
        fail_on_data_loss: whether trimmed data is an error, or logged and skipped.
        runtime: gives the time.
        again_after_s: least time between two subscriptions: a second one that comes earlier is refused.
    """

    def __init__(
        self,
        client: Any,
        subscribe: Subscribe,
        consumer: str,
        place: ShardId,
        position: Position,
        fail_on_data_loss: bool,
        runtime: Runtime = RUNTIME,
        again_after_s: float = AGAIN_AFTER_S,
    ) -> None:
        self._subscribe = subscribe
        self._consumer = consumer
        self._shard = place[1]
        self._track = Track(client, place, position, fail_on_data_loss)
        self._runtime = runtime
        self._again_after_s = again_after_s
        self._subscription: ShardSubscription | None = None
        self._subscribed_s = -again_after_s
        self._continuation: str | None = None
        self._closing = threading.Event()

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:  # noqa: ARG002 - what is pushed comes whole
        """Waits for what is pushed next; see `ShardReader.read`."""
        try:
            pushed = None
            while pushed is None:
                if self._subscription is None:
                    self._subscription = self._open()
                if self._closing.is_set():
                    raise UnavailableError("kinesis", "SubscribeToShard", "Closed", "it is not read any more")
                pushed = self._subscription.next()
                if pushed is None:
                    self.renew()
        except TRANSIENT as error:
            self.renew()
            return self._track.failed(error, "SubscribeToShard")
        fetched = self._track.take(_records(pushed), pushed.ended, pushed.behind_ms, pushed.at_ms)
        # Where records may be trimmed soon, the next subscription checks that it continues, and comes soon.
        near = pushed.behind_ms > NEAR_TRIMMING_MS
        self._continuation = None if near or self._track.checking else pushed.continuation
        age_s = self._runtime.monotonic() - self._subscribed_s
        if pushed.ended or (near and age_s > self._again_after_s):
            self.renew()
        return fetched

    def renew(self) -> None:
        """See `ShardReader.renew`."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def close(self) -> None:
        """See `ShardReader.close`."""
        self._closing.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.close()

    def _open(self) -> ShardSubscription:
        waited_s = self._runtime.monotonic() - self._subscribed_s
        if waited_s < self._again_after_s:
            self._runtime.wait(self._closing, self._again_after_s - waited_s)
        subscription = self._subscribe(self._consumer, self._shard, self._starting())
        self._subscribed_s = self._runtime.monotonic()
        return subscription

    def _starting(self) -> dict[str, Any]:
        # Of a shard where nothing is written, the continuation moves on while the last record may expire.
        idle_ms = (self._runtime.monotonic() - self._subscribed_s) * 1000
        if self._continuation is not None and idle_ms < MIN_RETENTION_MS - NEAR_TRIMMING_MS:
            return {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._continuation}
        kind, value = self._track.begin()
        named = {"AT_TIMESTAMP": "Timestamp", "AT_SEQUENCE_NUMBER": "SequenceNumber"}
        return {"Type": kind} | ({named[kind]: value} if kind in named else {})


def _records(pushed: Pushed) -> list[Record]:
    return [
        Record(
            record.sequence_number,
            round(record.approximate_arrival_timestamp * 1000),
            record.partition_key,
            record.data,
        )
        for record in pushed.records
    ]


class Ahead:
    """Reads a shard in a thread of its own and gives what has come, without waiting; a `ShardReader`.

    Args:
        reader: what to read, which may wait.
        place: stream and shard.
        runtime: gives thread and time.
        most_bytes: as much is kept; beyond it the shard is not read on until something is taken.
    """

    def __init__(
        self, reader: ShardReader, place: ShardId, runtime: Runtime = RUNTIME, most_bytes: int = _AHEAD_BYTES
    ) -> None:
        self._reader = reader
        self._name = "/".join(place)
        self._runtime = runtime
        self._most_bytes = most_bytes
        self._changed = runtime.condition()
        self._records: list[Record] = []
        self._bytes = 0
        self._said = Fetched([], False, _UNKNOWN_LAG_MS, 0)
        self._failure: BaseException | None = None
        self._closing = threading.Event()
        runtime.start(self._run, f"ahead-{self._name}")

    def read(self, limit: int = RECORDS_PER_CALL) -> Fetched:  # noqa: ARG002 - everything that has come
        """See `ShardReader.read`; the lag is unknown, and very large, while the shard cannot be read."""
        with self._changed:
            if self._failure is not None and not self._records:
                raise self._failure
            records, self._records, self._bytes = self._records, [], 0
            self._changed.notify_all()
            return self._said._replace(records=records)

    def renew(self) -> None:
        """See `ShardReader.renew`."""
        self._reader.renew()

    def close(self) -> None:
        """See `ShardReader.close`."""
        self._closing.set()
        self._reader.close()
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        backoff = self._runtime.backoff(_FIRST_BACKOFF_S, _LAST_BACKOFF_S, sleep=self._pause)
        while not self._closing.is_set() and not self._said.ended:
            try:
                fetched = self._reader.read()
            except TRANSIENT as error:
                if self._closing.is_set():
                    return
                log.warning("shard_not_read", shard=self._name, problem=str(error) or type(error).__name__)
                with self._changed:
                    self._said = self._said._replace(lag_ms=_UNKNOWN_LAG_MS)
                backoff.pause()
                continue
            except BaseException as error:
                with self._changed:
                    self._failure = error if isinstance(error, FatalError) else _unexpected(self._name, error)
                return
            backoff.succeeded()
            self._put(fetched)

    def _pause(self, seconds: float) -> None:
        self._runtime.wait(self._closing, seconds)

    def _put(self, fetched: Fetched) -> None:
        with self._changed:
            self._records += fetched.records
            self._bytes += sum(len(record.data) for record in fetched.records)
            self._said = fetched._replace(records=[])
            self._changed.wait_for(lambda: self._bytes < self._most_bytes or self._closing.is_set())


def _unexpected(name: str, error: BaseException) -> FatalError:
    failure = FatalError(f"{name}: reading ended unexpectedly: {error!r}")
    failure.__cause__ = error
    return failure
