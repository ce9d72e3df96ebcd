"""A small Kinesis in memory with scripted misbehaviour, used in process or over HTTP on loopback.

`InMemoryKinesis` has the methods of a boto3 client that the source uses; `serve` puts it behind Kinesis' JSON protocol.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import ClientError

FIRST_SEQUENCE = 49_650_000_000_000_000_000_000_000_000_000_000_000_000
_KEYS = 1 << 128
_CODES = {
    "throttle": "ProvisionedThroughputExceededException",
    "internal": "InternalFailure",
    "expired_iterator": "ExpiredIteratorException",
    "expired_token": "ExpiredTokenException",
    "clock_skew": "InvalidSignatureException",
    "denied": "AccessDeniedException",
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


def client_error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "scripted"}}, operation)


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

    def create_stream(self, StreamName: str, ShardCount: int = 1) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            self._streams[StreamName] = []
            for number in range(ShardCount):
                self._add(StreamName, (), number * _KEYS // ShardCount, (number + 1) * _KEYS // ShardCount - 1)
        return {}

    def put_record(self, StreamName: str, PartitionKey: str, Data: bytes) -> dict[str, Any]:  # noqa: N803
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

    def split_shard(self, StreamName: str, ShardToSplit: str, NewStartingHashKey: str) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            parent = self._shard(StreamName, ShardToSplit)
            parent.closed = True
            self._add(StreamName, (parent.id,), parent.low, int(NewStartingHashKey) - 1)
            self._add(StreamName, (parent.id,), int(NewStartingHashKey), parent.high)
        return {}

    def split_in_half(self, stream: str, shard: str) -> None:
        found = self._shard(stream, shard)
        self.split_shard(stream, shard, str((found.low + found.high) // 2 + 1))

    def merge_shards(self, StreamName: str, ShardToMerge: str, AdjacentShardToMerge: str) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            one, other = self._shard(StreamName, ShardToMerge), self._shard(StreamName, AdjacentShardToMerge)
            one.closed = other.closed = True
            self._add(StreamName, (one.id, other.id), min(one.low, other.low), max(one.high, other.high))
        return {}

    def update_shard_count(self, StreamName: str, TargetShardCount: int, ScalingType: str) -> dict[str, Any]:  # noqa: N803
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
                raise client_error("InvalidArgumentException", "UpdateShardCount")
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

    def describe_stream_summary(self, StreamName: str) -> dict[str, Any]:  # noqa: N803
        if StreamName not in self._streams:
            raise client_error("ResourceNotFoundException", "DescribeStreamSummary")
        return {"StreamDescriptionSummary": {"StreamName": StreamName, "StreamStatus": "ACTIVE"}}

    def list_shards(self, StreamName: str) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            if StreamName not in self._streams:
                raise client_error("ResourceNotFoundException", "ListShards")
            return {"Shards": [_describe(shard) for shard in self._streams[StreamName]]}

    def get_shard_iterator(
        self,
        StreamName: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        StartingSequenceNumber: str = "0",  # noqa: N803
        Timestamp: float = 0.0,  # noqa: N803
    ) -> dict[str, Any]:
        with self._lock:
            shard = self._shard(StreamName, ShardId)
            begin: dict[str, Callable[[dict[str, Any]], bool]] = {
                "TRIM_HORIZON": lambda record: False,
                "AT_SEQUENCE_NUMBER": lambda r: int(r["SequenceNumber"]) < int(StartingSequenceNumber),
                "AFTER_SEQUENCE_NUMBER": lambda r: int(r["SequenceNumber"]) <= int(StartingSequenceNumber),
                "AT_TIMESTAMP": lambda r: r["ApproximateArrivalTimestamp"].timestamp() < Timestamp,
            }
            skipped = sum(map(begin[ShardIteratorType], shard.records))
            return {"ShardIterator": f"{StreamName}|{ShardId}|{shard.trimmed + skipped}"}

    def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            stream, shard_id, place = ShardIterator.split("|")
            self.reads.append(shard_id)
            fault = self.faults.popleft() if self.faults else ""
            if fault in _CODES:
                raise client_error(_CODES[fault], "GetRecords")
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
        raise client_error("ResourceNotFoundException", "GetShardIterator")

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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no error of ours."""


_METHODS = {
    "CreateStream": "create_stream",
    "PutRecord": "put_record",
    "SplitShard": "split_shard",
    "MergeShards": "merge_shards",
    "UpdateShardCount": "update_shard_count",
    "DescribeStreamSummary": "describe_stream_summary",
    "ListShards": "list_shards",
    "GetShardIterator": "get_shard_iterator",
    "GetRecords": "get_records",
}


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.timestamp()
    raise TypeError(value)


@contextmanager
def serve(kinesis: InMemoryKinesis) -> Iterator[str]:
    """Answers on a free port of loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            cut = ""
            if operation == "GetRecords" and kinesis.faults and kinesis.faults[0] in ("drop", "truncate", "hang"):
                cut = kinesis.faults.popleft()
            if cut == "hang":
                self.rfile.read(1)  # returns when the client closes the connection
                self.close_connection = True
                return
            if "Data" in arguments:
                arguments["Data"] = base64.b64decode(arguments["Data"])
            try:
                if kinesis.valid_key and f"Credential={kinesis.valid_key}/" not in self.headers["Authorization"]:
                    raise client_error("ExpiredTokenException", operation)
                answer, status = getattr(kinesis, _METHODS[operation])(**arguments), 200
            except ClientError as error:
                code = error.response["Error"]["Code"]
                answer, status = {"__type": code, "message": "scripted"}, 500 if code == "InternalFailure" else 400
            body = json.dumps(answer, default=_encode).encode()
            if cut == "truncate":
                body = body[: len(body) // 2]
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut == "drop" else body)
            self.close_connection = cut == "drop"

        def log_message(self, *_: Any) -> None:
            pass

    with _answering(Handler) as url:
        yield url


@dataclass
class Credentials:
    """What a container's credentials address hands out.

    Attributes:
        url: the address.
        key: the access key; botocore asks for it before every call, because it soon expires.
    """

    url: str
    key: str


@contextmanager
def serve_credentials(key: str) -> Iterator[Credentials]:
    """Answers as the Pod Identity agent does, on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
            keys = {"AccessKeyId": handed.key, "SecretAccessKey": "s", "Token": "t", "Expiration": soon.isoformat()}
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with _answering(Handler) as url:
        handed = Credentials(url, key)
        yield handed


@contextmanager
def _answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
