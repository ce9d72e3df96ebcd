"""A Kinesis that serves records encoded beforehand, fast: `python -m tests.support.kinesis_server_fast`.

Prints its address. One stream of any name; every shard holds the same records.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIRST_SEQUENCE = 49_650_000_000_000_000_000_000_000_000_000_000_000_000
PAGE_RECORDS = 2_000


def encode_pages(records: int, record_bytes: int) -> list[bytes]:
    """Bodies of GetRecords without iterator and end."""
    data = base64.b64encode(b"x" * record_bytes).decode()
    arrival = time.time()
    pages = []
    for first in range(0, records, PAGE_RECORDS):
        page = [
            {
                "SequenceNumber": str(FIRST_SEQUENCE + number),
                "ApproximateArrivalTimestamp": arrival,
                "Data": data,
                "PartitionKey": f"k{number % 1000}",
            }
            for number in range(first, min(first + PAGE_RECORDS, records))
        ]
        pages.append(json.dumps({"Records": page})[:-1].encode())
    return pages


def make_server(pages: list[bytes], shards: int) -> ThreadingHTTPServer:
    """A server on a free port of loopback."""
    listing = [
        {
            "ShardId": f"shardId-{number:012d}",
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
            "SequenceNumberRange": {"StartingSequenceNumber": str(FIRST_SEQUENCE)},
        }
        for number in range(shards)
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            arguments: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            if operation == "GetRecords":
                page = int(arguments["ShardIterator"])
                body = pages[page] if page < len(pages) else b'{"Records": []'
                after = min(page + 1, len(pages))
                body += b', "NextShardIterator": "%d", "MillisBehindLatest": %d}' % (after, len(pages) - after)
            elif operation == "GetShardIterator":
                start = arguments.get("StartingSequenceNumber")
                page = (int(start) - FIRST_SEQUENCE) // PAGE_RECORDS if start else 0
                body = json.dumps({"ShardIterator": str(page)}).encode()
            else:
                body = json.dumps({"Shards": listing}).encode()
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
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--records", type=int, default=100_000, help="of each shard")
    parser.add_argument("--record-bytes", type=int, default=600)
    arguments = parser.parse_args()
    server = make_server(encode_pages(arguments.records, arguments.record_bytes), arguments.shards)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
