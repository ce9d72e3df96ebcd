"""The Kinesis double of the simulator (`embedded.simulation.kinesis`) over HTTP on loopback, with faults of a wire."""

from __future__ import annotations

import base64
import datetime as dt
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

from embedded.simulation.kinesis import InMemoryKinesis, kinesis_error
from fraud.errors import ServiceError
from tests.support.fan_out_double import FanOutKinesis
from tests.support.servers import LoopbackServer


class _Server(LoopbackServer):
    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no error of ours."""


_METHODS = {
    "CreateStream": "create_stream",
    "PutRecord": "put_record",
    "PutRecords": "put_records",
    "SplitShard": "split_shard",
    "MergeShards": "merge_shards",
    "UpdateShardCount": "update_shard_count",
    "DescribeStreamSummary": "describe_stream_summary",
    "ListShards": "list_shards",
    "GetShardIterator": "get_shard_iterator",
    "GetRecords": "get_records",
    "RegisterStreamConsumer": "register_stream_consumer",
    "DescribeStreamConsumer": "describe_stream_consumer",
}


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.timestamp()
    raise TypeError(value)


_PREFACE = b"PRI * HTTP/2.0"


def _is_http2(connection: socket.socket) -> bool:
    if isinstance(connection, ssl.SSLSocket):
        return connection.selected_alpn_protocol() == "h2"
    with suppress(OSError):
        return connection.recv(len(_PREFACE), socket.MSG_PEEK | socket.MSG_WAITALL) == _PREFACE
    return False


@contextmanager
def serve(kinesis: InMemoryKinesis, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answers on a free port of loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            if isinstance(kinesis, FanOutKinesis) and _is_http2(self.connection):
                from tests.support.http2_server import Http2Connection  # most servers need no HTTP/2

                Http2Connection(self.connection, kinesis, partial(json.dumps, default=_encode)).run()
            else:
                super().handle()

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
            for record in [arguments, *arguments.get("Records", [])]:
                if "Data" in record:
                    record["Data"] = base64.b64decode(record["Data"])
            try:
                if kinesis.valid_key and f"Credential={kinesis.valid_key}/" not in self.headers["Authorization"]:
                    raise kinesis_error("ExpiredTokenException", operation)
                answer, status = getattr(kinesis, _METHODS[operation])(**arguments), 200
            except ServiceError as error:
                answer, status = {"__type": error.code, "message": error.detail}, error.status or 400
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

    with _answering(Handler, tls) as url:
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
            soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)  # noqa: TID251 botocore compares
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
def _answering(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = _Server(handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.start()
    try:
        yield server.url if tls is None else server.url.replace("http:", "https:")
    finally:
        server.stop()


def main() -> None:
    """Serves the streams that the arguments name until standard input ends; prints the address."""
    kinesis = InMemoryKinesis()
    for stream in sys.argv[1:]:
        kinesis.create_stream(stream)
    with serve(kinesis) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
