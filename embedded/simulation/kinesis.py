"""A small Kinesis in memory with scripted misbehaviour: the methods of a boto3 client that the product uses.

Its errors are ours already (`fraud.errors.ServiceError`), as those of `adapters.aws.clients.aws_client` are. The
contract suite of the source (`tests/contract/test_kinesis_source.py`) holds it to real servers.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters.aws.errors import service_error
from fraud.errors import ServiceError

FIRST_SEQUENCE = 49_650_000_000_000_000_000_000_000_000_000_000_000_000
_KEYS = 1 << 128
_CODES = {
    "throttle": "ProvisionedThroughputExceededException",
    "internal": "InternalFailure",
    "expired_iterator": "ExpiredIteratorException",
    "expired_token": "ExpiredTokenException",
    "clock_skew": "InvalidSignatureException",
    "denied": "AccessDeniedException",
    "not_found": "ResourceNotFoundException",
}


@dataclass
class Shard:
    """A shard; `records` start at index `trimmed` of all it ever had."""

    id: str
    parents: tuple[str, ...]
    low: int
    high: int
    start: int
    records: list[dict[str, Any]] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False


def kinesis_error(code: str, operation: str) -> ServiceError:
    """What a call fails with."""
    return service_error("kinesis", operation, code, "scripted", 500 if code == "InternalFailure" else 400)


class InMemoryKinesis:
    """Streams, shards and their lineage.

    Attributes:
        faults: what the next GetRecords calls do instead: a name of `_CODES`, `repeat` (records again), `partial`
            (only one record); over HTTP also `drop` and `truncate` (the connection or the body ends early) and `hang`
            (no answer until the client gives up).
        valid_key: over HTTP, the only access key whose calls are answered; None takes any.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.faults: deque[str] = deque()
        self.valid_key: str | None = None
        self.reads: list[str] = []
        self._clock = clock
        self._streams: dict[str, list[Shard]] = {}
        self._sequence = FIRST_SEQUENCE
        self._lock = threading.RLock()

    def shards(self, stream: str) -> list[Shard]:
        """All shards of a stream that there ever were, but for those that it forgot."""
        return self._streams[stream]

    def create_stream(self, StreamName: str, ShardCount: int = 1) -> dict[str, Any]:
        with self._lock:
            self._streams[StreamName] = []
            for number in range(ShardCount):
                self._add(StreamName, (), number * _KEYS // ShardCount, (number + 1) * _KEYS // ShardCount - 1)
        return {}

    def put_record(self, StreamName: str, PartitionKey: str, Data: bytes) -> dict[str, Any]:
        with self._lock:
            place = int.from_bytes(hashlib.md5(PartitionKey.encode()).digest(), "big")
            shard = next(s for s in self._streams[StreamName] if not s.closed and s.low <= place <= s.high)
            number = str(self._next())
            arrival = dt.datetime.fromtimestamp(round(self._clock(), 3), dt.UTC)
            shard.records.append(
                {
                    "SequenceNumber": number,
                    "ApproximateArrivalTimestamp": arrival,
                    "Data": Data,
                    "PartitionKey": PartitionKey,
                }
            )
            return {"ShardId": shard.id, "SequenceNumber": number}

    def put_records(self, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        """Each record for itself; some may be refused (`partial`)."""
        partial = bool(self.faults) and self.faults[0] == "partial"
        if partial:
            self.faults.popleft()
        results: list[dict[str, Any]] = []
        for place, record in enumerate(Records):
            if partial and place % 2 == 0:
                refusal = {"ErrorCode": _CODES["throttle"], "ErrorMessage": "Rate exceeded for a shard"}
                results.append(refusal)
            else:
                results.append(self.put_record(StreamName, record["PartitionKey"], record["Data"]))
        return {"FailedRecordCount": sum("ErrorCode" in result for result in results), "Records": results}

    def split_shard(self, StreamName: str, ShardToSplit: str, NewStartingHashKey: str) -> dict[str, Any]:
        with self._lock:
            parent = self._shard(StreamName, ShardToSplit)
            parent.closed = True
            self._add(StreamName, (parent.id,), parent.low, int(NewStartingHashKey) - 1)
            self._add(StreamName, (parent.id,), int(NewStartingHashKey), parent.high)
        return {}

    def split_in_half(self, stream: str, shard: str) -> None:
        found = self._shard(stream, shard)
        self.split_shard(stream, shard, str((found.low + found.high) // 2 + 1))

    def merge_shards(self, StreamName: str, ShardToMerge: str, AdjacentShardToMerge: str) -> dict[str, Any]:
        with self._lock:
            one, other = self._shard(StreamName, ShardToMerge), self._shard(StreamName, AdjacentShardToMerge)
            one.closed = other.closed = True
            self._add(StreamName, (one.id, other.id), min(one.low, other.low), max(one.high, other.high))
        return {}

    def update_shard_count(self, StreamName: str, TargetShardCount: int, ScalingType: str) -> dict[str, Any]:  # noqa: ARG002
        """Doubles by splitting every shard, or halves by merging neighbours, as UNIFORM_SCALING does."""
        with self._lock:
            shards = self.open_shards(StreamName)
            if len(shards) * 2 == TargetShardCount:
                for shard in shards:
                    self.split_in_half(StreamName, shard.id)
            elif len(shards) == TargetShardCount * 2:
                for left, right in zip(shards[::2], shards[1::2], strict=True):
                    self.merge_shards(StreamName, left.id, right.id)
            else:
                raise kinesis_error("InvalidArgumentException", "UpdateShardCount")
        return {"StreamName": StreamName, "TargetShardCount": TargetShardCount}

    def expire(self, stream: str, shard: str) -> None:
        """Forgets a shard, as the service does when the last record of an ended one is past its retention."""
        with self._lock:
            self._streams[stream].remove(self._shard(stream, shard))

    def open_shards(self, stream: str) -> list[Shard]:
        """In the order of their hash keys, so that neighbours may be merged."""
        return sorted((s for s in self._streams[stream] if not s.closed), key=lambda shard: shard.low)

    def trim(self, stream: str, shard: str, count: int) -> None:
        """Forgets the oldest records of a shard."""
        with self._lock:
            found = self._shard(stream, shard)
            del found.records[:count]
            found.trimmed += count

    def describe_stream_summary(self, StreamName: str) -> dict[str, Any]:
        if StreamName not in self._streams:
            raise kinesis_error("ResourceNotFoundException", "DescribeStreamSummary")
        return {"StreamDescriptionSummary": {"StreamName": StreamName, "StreamStatus": "ACTIVE"}}

    def list_shards(self, StreamName: str) -> dict[str, Any]:
        with self._lock:
            if StreamName not in self._streams:
                raise kinesis_error("ResourceNotFoundException", "ListShards")
            return {"Shards": [_describe(shard) for shard in self._streams[StreamName]]}

    def get_shard_iterator(
        self,
        StreamName: str,
        ShardId: str,
        ShardIteratorType: str,
        StartingSequenceNumber: str = "0",
        Timestamp: float = 0.0,
    ) -> dict[str, Any]:
        with self._lock:
            shard = self._shard(StreamName, ShardId)
            begin: dict[str, Callable[[dict[str, Any]], bool]] = {
                "TRIM_HORIZON": lambda _: False,
                "LATEST": lambda _: True,
                "AT_SEQUENCE_NUMBER": lambda r: int(r["SequenceNumber"]) < int(StartingSequenceNumber),
                "AFTER_SEQUENCE_NUMBER": lambda r: int(r["SequenceNumber"]) <= int(StartingSequenceNumber),
                "AT_TIMESTAMP": lambda r: r["ApproximateArrivalTimestamp"].timestamp() < Timestamp,
            }
            skipped = sum(map(begin[ShardIteratorType], shard.records))
            return {"ShardIterator": f"{StreamName}|{ShardId}|{shard.trimmed + skipped}"}

    def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:
        with self._lock:
            stream, shard_id, place = ShardIterator.split("|")
            self.reads.append(shard_id)
            fault = self.faults.popleft() if self.faults else ""
            if fault in _CODES:
                raise kinesis_error(_CODES[fault], "GetRecords")
            shard = self._shard(stream, shard_id)
            begin = max(0, int(place) - shard.trimmed)
            if fault == "repeat":
                begin = max(0, begin - 3)
            records = shard.records[begin : begin + (1 if fault == "partial" else Limit)]
            end = begin + len(records)
            behind = 0
            if end < len(shard.records):
                next_arrival = shard.records[end]["ApproximateArrivalTimestamp"].timestamp()
                behind = max(1, int((self._clock() - next_arrival) * 1000))
            answer = {"Records": records, "MillisBehindLatest": behind}
            if not (shard.closed and end == len(shard.records)):
                answer["NextShardIterator"] = f"{stream}|{shard_id}|{shard.trimmed + end}"
            return answer

    def _shard(self, stream: str, shard: str) -> Shard:
        for found in self._streams[stream]:
            if found.id == shard:
                return found
        raise kinesis_error("ResourceNotFoundException", "GetShardIterator")

    def _add(self, stream: str, parents: tuple[str, ...], low: int, high: int) -> None:
        shards = self._streams[stream]
        shards.append(Shard(f"shardId-{len(shards):012d}", parents, low, high, self._next()))

    def _next(self) -> int:
        self._sequence += 7
        return self._sequence


def _describe(shard: Shard) -> dict[str, Any]:
    sequences = {"StartingSequenceNumber": str(shard.start)}
    if shard.closed:
        sequences["EndingSequenceNumber"] = str(FIRST_SEQUENCE * 2)
    parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    keys = {"StartingHashKey": str(shard.low), "EndingHashKey": str(shard.high)}
    return {"ShardId": shard.id, "HashKeyRange": keys, "SequenceNumberRange": sequences, **parents}
