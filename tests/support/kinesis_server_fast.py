"""A Kinesis that never is the bottleneck: `python -m tests.support.kinesis_server_fast`.

Prints its address when it is ready. The stream `--stream` has the records, any other stream has none. The records are
either alike and made of `x`, every shard with the same, or generated transactions, on shards by card. They are all
there and encoded beforehand, or appear at a rate, as if sent that moment.
"""

# ruff: noqa: TID251  # stamps arrivals

from __future__ import annotations

import argparse
import base64
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from adapters.aws.stream_writer import StreamRecord
from benchmarks import load
from producer.destinations import stamped, stream_records

FIRST_SEQUENCE = 49_650_000_000_000_000_000_000_000_000_000_000_000_000
PAGE_RECORDS = 2_000


class Shard(Protocol):
    """What a shard has."""

    def page(self, first: int) -> tuple[bytes, int]:
        """Body of GetRecords from a record on, without iterator and end; the record behind its last one."""

    def behind(self, first: int) -> int:
        """How many records from there on have appeared."""


class Prepared:
    """Records that are all there, encoded beforehand.

    Args:
        records: of the shard.
    """

    def __init__(self, records: Sequence[StreamRecord]) -> None:
        self._count = len(records)
        self._pages = [
            encode_page(records[first : first + PAGE_RECORDS], first, [time.time()] * PAGE_RECORDS)
            for first in range(0, self._count, PAGE_RECORDS)
        ]

    def page(self, first: int) -> tuple[bytes, int]:
        if first >= self._count:
            return encode_page([], first, []), first
        number = first // PAGE_RECORDS
        return self._pages[number], min(self._count, (number + 1) * PAGE_RECORDS)

    def behind(self, first: int) -> int:
        return self._count - first


class Paced:
    """Transactions of which so many a second appear from the first read on, sent in the moment they appear.

    Args:
        transactions: of the shard, in the order of appearing.
        per_s: how many.
    """

    def __init__(self, transactions: pa.RecordBatch, per_s: float) -> None:
        self._transactions = transactions
        self._per_s = per_s
        self._begun: float | None = None

    def page(self, first: int) -> tuple[bytes, int]:
        self._begun = self._begun or time.time()
        count = min(PAGE_RECORDS, self.behind(first))
        sent_at = self._begun + np.arange(first, first + count) / self._per_s
        part = stamped(self._transactions.slice(first, count), pa.array((1000 * sent_at).astype(np.int64)))
        return encode_page(stream_records(part), first, sent_at.tolist()), first + count

    def behind(self, first: int) -> int:
        if self._begun is None:
            return 0
        return max(0, min(len(self._transactions), int((time.time() - self._begun) * self._per_s)) - first)


def encode_page(records: Sequence[StreamRecord], first: int, arrivals: Sequence[float]) -> bytes:
    """Body of GetRecords without iterator and end."""
    page = [
        {
            "SequenceNumber": str(FIRST_SEQUENCE + first + place),
            "ApproximateArrivalTimestamp": arrivals[place],
            "Data": base64.b64encode(record.data).decode(),
            "PartitionKey": record.key,
        }
        for place, record in enumerate(records)
    ]
    return json.dumps({"Records": page})[:-1].encode()


def generated(count: int, skip: int, shards: int) -> Iterator[pa.RecordBatch]:
    """The transactions of each shard, of so many of `benchmarks.load` behind the first `skip`."""
    parts: list[list[pa.RecordBatch]] = [[] for _ in range(shards)]
    seen = 0
    for part in load.stream():
        rows = part.transactions.num_rows
        first, last = min(rows, max(0, skip - seen)), min(rows, max(0, skip + count - seen))
        seen += rows
        transactions = part.transactions.slice(first, last - first)
        shard = np.array([zlib.crc32(key.encode()) % shards for key in transactions["card_token"].to_pylist()])
        for number in range(shards):
            parts[number].append(transactions.filter(pa.array(shard == number)))
        if seen >= skip + count:
            break
    for shard_parts in parts:
        yield pa.concat_batches(shard_parts)
        shard_parts.clear()


def make_server(stream: str, shards: Sequence[Shard]) -> ThreadingHTTPServer:
    """A server on a free port of loopback, whose stream has these shards."""
    listing = [
        {
            "ShardId": f"shardId-{number:012d}",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
            "SequenceNumberRange": {"StartingSequenceNumber": str(FIRST_SEQUENCE)},
        }
        for number in range(len(shards))
    ]

    def get_records(arguments: dict[str, Any]) -> bytes:
        place = arguments["ShardIterator"]
        if place == "nothing":
            return b'{"Records": [], "NextShardIterator": "nothing", "MillisBehindLatest": 0}'
        number, first = map(int, place.split("/"))
        body, after = shards[number].page(first)
        return body + b', "NextShardIterator": "%d/%d", "MillisBehindLatest": %d}' % (
            number,
            after,
            shards[number].behind(after),
        )

    def get_iterator(arguments: dict[str, Any]) -> bytes:
        if arguments["StreamName"] != stream:
            return b'{"ShardIterator": "nothing"}'
        start = arguments.get("StartingSequenceNumber")
        first = int(start) - FIRST_SEQUENCE if start else 0
        return json.dumps({"ShardIterator": f"{int(arguments['ShardId'][-12:])}/{first}"}).encode()

    def answer(operation: str, arguments: dict[str, Any]) -> bytes:
        if operation == "GetRecords":
            return get_records(arguments)
        if operation == "GetShardIterator":
            return get_iterator(arguments)
        if operation == "ListShards":
            return json.dumps({"Shards": listing if arguments["StreamName"] == stream else listing[:1]}).encode()
        name = arguments["StreamName"]
        return json.dumps({"StreamDescription": {"StreamName": name, "StreamStatus": "ACTIVE", "Shards": []}}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = answer(self.headers["X-Amz-Target"].rpartition(".")[2], arguments)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", default="s")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--records", type=int, default=100_000, help="of each shard, made of x")
    parser.add_argument("--record-bytes", type=int, default=600)
    parser.add_argument("--transactions", type=int, default=0, help="generated, of all shards, in place of --records")
    parser.add_argument("--skip", type=int, default=0, help="generated ones before --transactions")
    parser.add_argument("--rate", type=float, default=0, help="transactions a second, of all shards; 0: all at once")
    arguments = parser.parse_args()
    shards: list[Shard]
    if arguments.transactions:
        parts = generated(arguments.transactions, arguments.skip, arguments.shards)
        if arguments.rate:
            shards = [Paced(part, arguments.rate / arguments.shards) for part in parts]
        else:
            shards = [Prepared(stream_records(part)) for part in parts]
    else:
        data = b"x" * arguments.record_bytes
        alike = Prepared([StreamRecord(f"k{number % 1000}", data) for number in range(arguments.records)])
        shards = [alike] * arguments.shards
    server = make_server(arguments.stream, shards)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
