"""An HTTP proxy before the AWS stand-in that now and then throttles, fails, or loses the answer of a sink's write."""

from __future__ import annotations

import http.client
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_DYNAMODB_WRITES = ("BatchExecuteStatement", "UpdateItem")

_S3_ERROR = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
_DYNAMODB_ERROR = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}'


class FaultProxy(ThreadingHTTPServer):
    """Forwards to an endpoint.

    Args:
        target: the endpoint's address.
        share: share of the writes to S3 and DynamoDB that meet a fault.
        seed: of the choice.

    Attributes:
        faults: injected faults by name.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults: Counter[str] = Counter()
        self._share = share
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed breaks its connections; anything else is told as usual."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fault_for(self, service: str | None) -> str | None:
        """Draws whether a write to a service meets a fault, and which: refused before, or done and not answered."""
        if service is None:
            return None
        with self._lock:
            if self._rng.random() >= self._share:
                return None
            fault = f"{service} {self._rng.choice(('refused', 'unanswered'))}"
            self.faults[fault] += 1
            return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault_for(self._written_service())
        if fault == "s3 refused":
            self._answer(503, [("Content-Type", "application/xml")], _S3_ERROR)
            return
        if fault == "dynamodb refused":
            self._answer(400, [("Content-Type", "application/x-amz-json-1.0")], _DYNAMODB_ERROR)
            return
        upstream = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if fault is not None:
            self.close_connection = True
            return
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self._answer(answer.status, headers, content, length)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line."""

    def _written_service(self) -> str | None:
        target = self.headers.get("X-Amz-Target", "")
        if target.startswith("DynamoDB") and target.endswith(_DYNAMODB_WRITES):
            return "dynamodb"
        return "s3" if self.command == "PUT" else None

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def fault_proxy(target: str, share: float, seed: int) -> Iterator[FaultProxy]:
    """Runs a proxy for as long as the context lasts."""
    with FaultProxy(target, share, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, name="fault-proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
