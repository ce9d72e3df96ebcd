"""A Kinesis that serves records encoded beforehand, fast: `python -m tests.support.kinesis_server_fast`.

Prints its address when it is ready. The stream `--stream` has the records, any other stream has none. The records are
either alike and made of `x`, every shard with the same, or generated transactions, on shards by card.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIRST_SEQUENCE = 49_650_000_000_000_000_000_000_000_000_000_000_000_000
PAGE_RECORDS = 2_000

Record = tuple[str, bytes]
"""Partition key and data."""


def encode_pages(records: Sequence[Record]) -> list[bytes]:
    """Bodies of GetRecords without iterator and end."""
    arrival = time.time()
    pages = []
    for first in range(0, len(records), PAGE_RECORDS):
        page = [
            {
                "SequenceNumber": str(FIRST_SEQUENCE + first + place),
                "ApproximateArrivalTimestamp": arrival,
                "Data": base64.b64encode(data).decode(),
                "PartitionKey": key,
            }
            for place, (key, data) in enumerate(records[first : first + PAGE_RECORDS])
        ]
        pages.append(json.dumps({"Records": page})[:-1].encode())
    return pages


def generated(count: int, skip: int, shards: int) -> Iterator[list[bytes]]:
    """Pages of each shard, of so many transactions of `benchmarks.load` behind the first `skip`."""
    from benchmarks.load import stream
    from fraud.encode import encode

    records: list[list[Record]] = [[] for _ in range(shards)]
    seen = 0
    for part in stream():
        rows = part.transactions.num_rows
        first, last = min(rows, max(0, skip - seen)), min(rows, max(0, skip + count - seen))
        seen += rows
        transactions = part.transactions.slice(first, last - first)
        for key, data in zip(transactions["card_token"].to_pylist(), encode(transactions), strict=True):
            records[zlib.crc32(key.encode()) % shards].append((key, data))
        if seen >= skip + count:
            break
    for shard in records:
        yield encode_pages(shard)
        shard.clear()


def make_server(stream: str, shards: Sequence[Sequence[bytes]], pages_per_s: float) -> ThreadingHTTPServer:
    """A server on a free port of loopback.

    Args:
        stream: which has the records.
        shards: pages of each of its shards.
        pages_per_s: how fast the pages of a shard appear, from the first read on; 0 has all there from the start.
    """
    listing = [
        {
            "ShardId": f"shardId-{number:012d}",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
            "SequenceNumberRange": {"StartingSequenceNumber": str(FIRST_SEQUENCE)},
        }
        for number in range(len(shards))
    ]
    first_read: list[float] = []

    def get_records(arguments: dict[str, Any]) -> bytes:
        place = arguments["ShardIterator"]
        if place == "nothing":
            return b'{"Records": [], "NextShardIterator": "nothing", "MillisBehindLatest": 0}'
        shard, page = map(int, place.split("/"))
        pages = shards[shard]
        if not first_read:
            first_read.append(time.monotonic())
        there = len(pages)
        if pages_per_s:
            there = min(there, 1 + int((time.monotonic() - first_read[0]) * pages_per_s))
        body = pages[page] if page < there else b'{"Records": []'
        after = min(page + 1, there)
        return body + b', "NextShardIterator": "%d/%d", "MillisBehindLatest": %d}' % (shard, after, there - after)

    def get_iterator(arguments: dict[str, Any]) -> bytes:
        if arguments["StreamName"] != stream:
            return b'{"ShardIterator": "nothing"}'
        start = arguments.get("StartingSequenceNumber")
        page = (int(start) - FIRST_SEQUENCE) // PAGE_RECORDS if start else 0
        return json.dumps({"ShardIterator": f"{int(arguments['ShardId'][-12:])}/{page}"}).encode()

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
    parser.add_argument("--rate", type=float, default=0, help="records a second, of all shards; 0: all at once")
    arguments = parser.parse_args()
    if arguments.transactions:
        shards = list(generated(arguments.transactions, arguments.skip, arguments.shards))
    else:
        data = b"x" * arguments.record_bytes
        shards = [encode_pages([(f"k{number % 1000}", data) for number in range(arguments.records)])] * arguments.shards
    server = make_server(arguments.stream, shards, arguments.rate / arguments.shards / PAGE_RECORDS)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
