"""Fetches one shard in the background, ahead of the batches, within bounds."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fraud.errors import FatalError
from processor.kinesis_source.offsets import Place, Position

RECORDS_PER_CALL = 10_000
"""Most records of one GetRecords call (Kinesis API reference)."""

_FATAL = {"ResourceNotFoundException", "AccessDeniedException", "InvalidArgumentException", "ValidationException"}
_FIRST_BACKOFF_S = 0.2
_LAST_BACKOFF_S = 5.0


class Record(NamedTuple):
    """A Kinesis record as it was read."""

    sequence_number: str
    arrival_ms: int
    partition_key: str
    data: bytes


class Budget:
    """Bytes that all fetchers together may keep; fetching waits while it is used up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Counts bytes that were fetched."""
        with self._changed:
            self._used += count

    def give_back(self, count: int) -> None:
        """Counts bytes that were dropped."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Waits until there is room; False when there is still none after the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._used < self._limit, timeout_s)


class ShardFetcher:
    """Reads a shard from a position on and keeps what was read until it is dropped.

    Args:
        client: a Kinesis client.
        place: stream and shard.
        position: where to go on.
        poll_s: least time between two reads.
        budget: shared bound of kept bytes.
    """

    def __init__(self, client: Any, place: Place, position: Position, poll_s: float, budget: Budget) -> None:
        self.place = place
        self.lag_ms: int | None = None
        self._client = client
        self._position = position
        self._poll_s = poll_s
        self._budget = budget
        self._records: deque[Record] = deque()
        self._lock = threading.Lock()
        self._ended = False
        self._failure: FatalError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fetch-{place[0]}-{place[1]}", daemon=True)
        self._thread.start()

    def kept(self) -> tuple[list[Record], bool]:
        """The records read and not dropped, in order, and whether the shard ends behind them.

        Raises:
            FatalError: the shard cannot be read; waiting will not mend it.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            return list(self._records), self._ended

    def drop_through(self, sequence_number: str) -> None:
        """Forgets records up to and including a sequence number."""
        dropped = 0
        with self._lock:
            while self._records and int(self._records[0].sequence_number) <= int(sequence_number):
                dropped += len(self._records.popleft().data)
        self._budget.give_back(dropped)

    def stop(self) -> None:
        """Ends fetching."""
        self._stop.set()

    def _run(self) -> None:
        iterator: str | None = None
        backoff_s = _FIRST_BACKOFF_S
        while not self._stop.is_set():
            if not self._budget.wait(1.0):
                continue
            began = time.monotonic()
            try:
                iterator = iterator or self._open()
                answer = self._client.get_records(ShardIterator=iterator, Limit=RECORDS_PER_CALL)
            except (ClientError, BotoCoreError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
                if code in _FATAL:
                    self._failure = FatalError(f"{self.place[0]}/{self.place[1]} cannot be read: {error}")
                    return
                iterator = None
                self._stop.wait(backoff_s * random.uniform(0.5, 1.0))
                backoff_s = min(_LAST_BACKOFF_S, backoff_s * 2)
                continue
            backoff_s = _FIRST_BACKOFF_S
            self._keep(answer)
            iterator = answer.get("NextShardIterator")
            if iterator is None:
                with self._lock:
                    self._ended = True
                return
            self._stop.wait(max(0.0, self._poll_s - (time.monotonic() - began)))

    def _open(self) -> str:
        stream, shard = self.place
        answer = self._client.get_shard_iterator(StreamName=stream, ShardId=shard, **self._position.iterator)
        return str(answer["ShardIterator"])

    def _keep(self, answer: dict[str, Any]) -> None:
        self.lag_ms = answer.get("MillisBehindLatest")
        records = [
            Record(
                record["SequenceNumber"],
                int(record["ApproximateArrivalTimestamp"].timestamp() * 1000),
                record["PartitionKey"],
                record["Data"],
            )
            for record in answer["Records"]
        ]
        if not records:
            return
        with self._lock:
            self._records.extend(records)
        self._position = Position(records[-1].sequence_number)
        self._budget.take(sum(len(record.data) for record in records))


def read_range(client: Any, place: Place, start: Position, end: Position) -> list[Record]:
    """Reads a planned range again: the records after `start` up to and including `end`.

    Raises:
        FatalError: the shard ends or is trimmed before `end`.
        ClientError, BotoCoreError: Kinesis does not answer after the client's retries; the task is tried again.
    """
    stream, shard = place
    records: list[Record] = []
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, **start.iterator)["ShardIterator"]
    while iterator is not None:
        answer = client.get_records(ShardIterator=iterator, Limit=RECORDS_PER_CALL)
        for record in answer["Records"]:
            if int(record["SequenceNumber"]) > int(end.after):
                return records
            arrival_ms = int(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
            records.append(Record(record["SequenceNumber"], arrival_ms, record["PartitionKey"], record["Data"]))
        if records and records[-1].sequence_number == end.after:
            return records
        iterator = answer.get("NextShardIterator")
        if not answer["Records"]:
            time.sleep(0.2)
    raise FatalError(f"{stream}/{shard} ends before {end.after}, which an earlier batch planned to read")
