"""Servers of tests: on a free port of loopback, awaited until they take calls, ended even where the test fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from adapters.program.web_server import Patience, server_of

_READY_S = 60.0


class LoopbackServer(ThreadingHTTPServer):
    """A server whose callers neither keep it alive nor wait because others call at the same time.

    Args:
        handler: of each call.
        port: where to listen; 0 takes a free one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self._serves = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def service_actions(self) -> None:
        """Called by each turn of the server's loop: from the first one on it takes calls."""
        self._serves.set()

    def start(self) -> None:
        """Starts it in a thread; takes calls when this returns."""
        self._thread.start()
        assert self._serves.wait(_READY_S), "the server does not serve"

    def stop(self) -> None:
        """Ends it; its port is free afterwards."""
        self.shutdown()
        self.server_close()
        self._thread.join()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answers with a handler for as long as the context lasts; gives the address."""
    server = LoopbackServer(handler)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def serving_app(app: Any, port: int = 0) -> Iterator[str]:
    """Serves an application, with its background work, for as long as the context lasts; gives the address.

    Args:
        app: what is served, an ASGI application.
        port: where to listen; 0 takes a free one.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    server = server_of(app, Patience())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _READY_S
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            assert time.monotonic() < deadline, "the application does not answer"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        server.force_exit = True  # a page that stays open keeps its connection
        thread.join(timeout=10)
        listener.close()
