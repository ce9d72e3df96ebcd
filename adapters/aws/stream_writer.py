"""Writes records to a Kinesis stream: in batches, in order for each key, every record accounted for."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.aws.backoff import Backoff
from adapters.aws.clients import aws_client
from fraud.errors import MisconfiguredError, RefusedError, RetryableError, ServiceError, UnavailableError
from fraud.settings import Aws

RECORDS_PER_CALL = 500
"""Most records of one PutRecords call (Kinesis API reference)."""

BYTES_PER_CALL = 5 << 20
"""Most bytes of one PutRecords call, keys included (Kinesis API reference)."""

_SHARD_NAMED = re.compile(r"shardId-\d{12}")
"""A refusal names its shard in its message only: "Rate exceeded for shard shardId-... in stream ..."."""

_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0


@dataclass(frozen=True)
class StreamRecord:
    """What goes on a stream: records of one key keep their order."""

    key: str
    data: bytes


@dataclass
class WriterCounts:
    """What a writer did.

    Attributes:
        accepted: records that the stream took.
        retried: records sent again after a failure.
        throttled: of these, after the shard's limit was exceeded.
        throttled_by_shard: the same for each shard that the service named.
    """

    accepted: int = 0
    retried: int = 0
    throttled: int = 0
    throttled_by_shard: Counter[str] = field(default_factory=Counter)


class KinesisWriter:
    """Writes to one stream.

    Args:
        stream: its name.
        settings: where AWS is.
        give_up_s: how long one record may be refused before writing fails.
        backoff: makes the pauses between attempts.
        clock: seconds that never go back.
        client: a Kinesis client; None makes one.

    Raises:
        MisconfiguredError: the endpoint does not answer or has no such stream.
    """

    def __init__(
        self,
        stream: str,
        settings: Aws,
        give_up_s: float = 60.0,
        backoff: Callable[..., Backoff] = Backoff,
        clock: Callable[[], float] = time.monotonic,
        client: Any = None,
    ) -> None:
        self.counts = WriterCounts()
        self._stream = stream
        self._give_up_s = give_up_s
        self._backoff = backoff
        self._clock = clock
        self._client = aws_client("kinesis", settings) if client is None else client
        try:
            self._client.describe_stream_summary(StreamName=stream)
        except ServiceError as error:
            unreachable = error.code == "EndpointConnectionError" and settings.endpoint_of("kinesis") is not None
            way_out = "; start an emulator there or change aws.endpoint_url" if unreachable else ""
            raise MisconfiguredError(f"stream {stream}", f"cannot be written: {error}{way_out}") from None

    def write(self, records: Sequence[StreamRecord]) -> None:
        """Writes records; returns when all are accepted.

        A call holds at most one record of a key, so that a record that is refused cannot be overtaken.

        Raises:
            RetryableError: a record was refused for longer than `give_up_s`.
            MisconfiguredError: the stream is gone or closed to us.
        """
        for call in _calls(records):
            self._put(call)

    def _put(self, records: list[StreamRecord]) -> None:
        deadline_s = self._clock() + self._give_up_s
        backoff = self._backoff(_FIRST_BACKOFF_S, _LAST_BACKOFF_S, deadline_s=deadline_s)
        while True:
            refused, reason = self._attempt(records)
            self.counts.accepted += len(records) - len(refused)
            if not refused:
                return
            if not backoff.pause():
                raise RetryableError(
                    f"stream {self._stream} refused {len(refused)} records for {self._give_up_s:.0f} s: {reason}"
                )
            self.counts.retried += len(refused)
            records = refused

    def _attempt(self, records: list[StreamRecord]) -> tuple[list[StreamRecord], str]:
        entries = [{"PartitionKey": record.key, "Data": record.data} for record in records]
        try:
            answer = self._client.put_records(StreamName=self._stream, Records=entries)
        except RefusedError as error:
            raise MisconfiguredError(f"stream {self._stream}", f"cannot be written: {error}") from None
        except UnavailableError as error:
            self.counts.throttled += len(records) * error.throttled
            return records, str(error)
        if not answer["FailedRecordCount"]:
            return [], ""
        refused = []
        reason = ""
        for record, result in zip(records, answer["Records"], strict=True):
            if result.get("ErrorCode"):
                refused.append(record)
                message = result.get("ErrorMessage", "")
                reason = f"{result['ErrorCode']}: {message}"
                if "ThroughputExceeded" in result["ErrorCode"]:
                    self.counts.throttled += 1
                    self.counts.throttled_by_shard.update(_SHARD_NAMED.findall(message)[:1])
        return refused, reason


def _calls(records: Sequence[StreamRecord]) -> Iterator[list[StreamRecord]]:
    """Cuts records at the limits of a call; a record whose key the call has already waits for the next one."""
    waiting = records
    while waiting:
        call: list[StreamRecord] = []
        later: list[StreamRecord] = []
        keys: set[str] = set()
        size = 0
        for place, record in enumerate(waiting):
            if record.key in keys:
                later.append(record)
                continue
            size += len(record.data) + len(record.key)
            if call and (len(call) == RECORDS_PER_CALL or size > BYTES_PER_CALL):
                later.extend(waiting[place:])
                break
            keys.add(record.key)
            call.append(record)
        yield call
        waiting = later
