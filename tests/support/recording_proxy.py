"""A proxy in front of an emulator that notes which IAM actions the calls of any client need."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

RENAMED = {
    "dynamodb:BatchExecuteStatement": ("dynamodb:PartiQLInsert",),
    "dynamodb:TransactWriteItems": ("dynamodb:PutItem", "dynamodb:UpdateItem"),
}
"""Calls whose actions have other names (Service Authorization Reference)."""

_NEEDED = "/-/needed"
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Needed(NamedTuple):
    """What a call must be allowed.

    Attributes:
        action: as IAM names it.
        place: bucket, or bucket and key, of a call of S3; empty for others.
    """

    action: str
    place: str = ""


def needed_by(method: str, path: str, headers: dict[str, str]) -> set[Needed]:
    """What a request must be allowed.

    >>> target = {"x-amz-target": "Kinesis_20131202.PutRecords"}
    >>> needed_by("POST", "/", {"authorization": "x/kinesis/aws4_request"} | target)
    {Needed(action='kinesis:PutRecords', place='')}
    >>> needed_by("DELETE", "/bucket/a/b", {"authorization": "x/s3/aws4_request"})
    {Needed(action='s3:DeleteObject', place='bucket/a/b')}
    """
    found = re.search(r"/([\w-]+)/aws4_request", headers.get("authorization", ""))
    service = found[1] if found else "s3"
    if service != "s3":
        name = f"{service}:{headers['x-amz-target'].rpartition('.')[2]}"
        return {Needed(action) for action in RENAMED.get(name, (name,))}
    address = urlsplit(path)
    query = parse_qs(address.query, keep_blank_values=True)
    place = unquote(address.path).strip("/")
    if method == "POST":
        actions = ["s3:DeleteObject" if "delete" in query else "s3:PutObject"]
    elif method == "DELETE":
        actions = ["s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"]
    elif method == "PUT":
        tags = "x-amz-tagging" in headers or "tagging" in query
        actions = ["s3:PutObject"] * ("tagging" not in query) + ["s3:PutObjectTagging"] * tags
    else:
        actions = ["s3:GetObject" if "/" in place else "s3:ListBucket"]
    return {Needed(action, place) for action in actions}


class Recorder:
    """A proxy in a process of its own: a client that holds the interpreter's lock while it waits would wait for ever.

    Attributes:
        address: calls go there.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def needed(self) -> set[Needed]:
        """What the calls since the last time needed."""
        with urllib.request.urlopen(self.address + _NEEDED) as answer:
            return {Needed(*each) for each in json.load(answer)}


@contextmanager
def recording(target: str) -> Iterator[Recorder]:
    """A proxy in front of `target`."""
    command = [sys.executable, "-m", __name__, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Recorder(process.stdout.readline().strip())
        finally:
            process.terminate()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    seen: ClassVar[set[Needed]] = set()

    def _pass_on(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.path == _NEEDED:
            seen = [self.seen.pop() for _ in range(len(self.seen))]
            self._answer(200, [("Content-Type", "application/json")], json.dumps(seen).encode())
            return
        if "x-amz-target" in headers or self.path.split("?")[0] != "/":
            self.seen.update(needed_by(self.command, self.path, headers))
        body = self._body(headers)
        connection = http.client.HTTPConnection(self.upstream, timeout=180)
        connection.request(self.command, self.path, body, {k: v for k, v in headers.items() if k not in _HOP})
        answer = connection.getresponse()
        content = answer.read()
        passed_on = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        self._answer(answer.status, passed_on, content, answer.getheader("content-length"))
        connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        length_text = length if self.command == "HEAD" and length else str(len(content))
        self.send_header("Content-Length", length_text)
        self.end_headers()
        self.wfile.write(content)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Not to the test's output."""


if __name__ == "__main__":
    _Proxy.upstream = urlsplit(sys.argv[1]).netloc
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
