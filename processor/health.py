"""The job's health address: `/live`, `/ready`, `/lag` and `/metrics`."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from adapters.program.telemetry import Telemetry
from fraud.errors import MisconfiguredError
from fraud.settings import Health


class Pulse:
    """When the query last gave a sign of life.

    Args:
        stall_s: how long it may be silent.
        clock: monotonic seconds.
    """

    def __init__(self, stall_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stall_s = stall_s
        self._clock = clock
        self._last = clock()
        self.ready = False
        self.lag_ms: dict[str, int] = {}

    def beat(self) -> None:
        """The query did something: started, finished a batch, or found nothing to do."""
        self._last = self._clock()

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock() - self._last

    @property
    def live(self) -> bool:
        """Whether the query gave a sign of life lately."""
        return self.silent_s <= self._stall_s


LIMIT_S = 10.0
"""What a caller has for its request and for taking the answer: probes and scrapes give up sooner."""

MAX_CALLERS = 64


class _Server(ThreadingHTTPServer):
    """Hangs up on callers that take too long, and on more of them at a time than ever have a reason to call."""

    daemon_threads = True
    request_queue_size = MAX_CALLERS  # a caller beyond a shorter queue would try again after a second, or three
    limit_s = LIMIT_S

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._since: dict[socket.socket, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._since) >= MAX_CALLERS:
            super().shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        now = time.monotonic()
        for request, since in list(self._since.items()):
            if now - since > self.limit_s:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)


class HealthServer:
    """Answers over HTTP while a context lasts.

    Args:
        settings: where to listen.
        pulse: of the query.
        telemetry: what `/metrics` shows.
        limit_s: seconds after which a caller is hung up on.
    """

    def __init__(self, settings: Health, pulse: Pulse, telemetry: Telemetry, limit_s: float = LIMIT_S) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(self.path, pulse, telemetry)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are not worth a line."""

        try:
            self._server = _Server((settings.host, settings.port or 0), Handler)
        except OSError as error:
            raise MisconfiguredError("health.port", f"{settings.host}:{settings.port}: {error.strerror}") from None
        self._server.limit_s = limit_s
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(path: str, pulse: Pulse, telemetry: Telemetry) -> tuple[int, str, bytes]:
    """Status, content type and body for a path."""
    if path == "/metrics":
        return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", telemetry.exposition()
    if path not in ("/live", "/ready", "/lag"):
        return HTTPStatus.NOT_FOUND, "application/json", b'{"error": "no such path"}\n'
    good = pulse.live and (pulse.ready or path != "/ready")
    body = {
        "live": pulse.live,
        "ready": pulse.live and pulse.ready,
        "silent_s": round(pulse.silent_s, 1),
        "lag_ms": pulse.lag_ms,
    }
    status = HTTPStatus.OK if good or path == "/lag" else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(body).encode() + b"\n"
