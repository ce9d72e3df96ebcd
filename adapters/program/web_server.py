"""Serves an application over HTTP and lets no caller keep it waiting."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.program.ports import check_port
from fraud.errors import MisconfiguredError

_BACKLOG = 128
_STARTUP_FAILURE = 3
"""As `uvicorn.run` ends where the application does not start."""

_HEAD_BYTES = 65_536
"""Of a head that arrives in pieces."""

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True)
class Patience:
    """How long a caller may take.

    Attributes:
        head_s: from the connection, or the first byte of a later request, to the end of its head.
        body_s: from the end of the head to the end of the body.
        read_s: to take the answer, whenever the caller has stopped reading it.
        idle_s: between two requests. Longer than load balancers keep a connection, and most pools of clients: what
            they send on one that is closed at that moment is lost.
    """

    head_s: float = 10.0
    body_s: float = 30.0
    read_s: float = 30.0
    idle_s: float = 75.0


@dataclass(frozen=True)
class Tls:
    """Files that a server proves itself with (PEM).

    Attributes:
        certificate: the chain.
        key: its private key.
    """

    certificate: str
    key: str


def serve(
    app: Any, host: str, port: int, *, flag: str = "--port", patience: Patience | None = None, tls: Tls | None = None
) -> None:
    """Serves an ASGI application until the process gets a signal to end.

    Args:
        app: what is served.
        host: address to listen at.
        port: where.
        flag: what the user chose the port by, for the message.
        patience: with callers; None takes the usual one.
        tls: what it proves itself with; None serves plain HTTP.

    Raises:
        MisconfiguredError: there is no such port or address, or it is taken; or the certificate cannot be used.
    """
    listener = listen(host, check_port(flag, port), flag)
    with listener:
        server = server_of(app, patience or Patience(), tls)
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(_STARTUP_FAILURE)


def listen(host: str, port: int, flag: str = "--port") -> socket.socket:
    """A socket that listens.

    Raises:
        MisconfiguredError: there is no such address, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        # A name that does not resolve has a number of its own; what Python adds to the system's words says it twice.
        words = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise MisconfiguredError(f"{flag} {port}", f"cannot listen at {host}: {words}; choose another") from None


def server_of(app: Any, patience: Patience, tls: Tls | None = None) -> uvicorn.Server:
    """The server of an application, to be run on sockets that listen."""

    class Timed(_TimedProtocol):
        limits = patience

    idle_s = math.ceil(patience.idle_s)
    # Whose X-Forwarded-For is believed is the application's own business.
    proof = {} if tls is None else {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    config = uvicorn.Config(
        app, http=Timed, loop="uvloop", ws="none", proxy_headers=False, server_header=False, log_level="warning",
        access_log=False, timeout_graceful_shutdown=3, timeout_keep_alive=idle_s, **proof,  # type: ignore[arg-type]
    )  # fmt: skip
    if tls is not None:
        try:
            config.load()
        except OSError as error:  # ssl.SSLError among them
            raise MisconfiguredError("decide.tls_certificate", f"{tls.certificate}: {error}") from None
    return uvicorn.Server(config)


class _TimedProtocol(HttpToolsProtocol):
    """A connection that is closed when its caller takes too long.

    uvicorn itself only limits the pause between two requests. A request that arrives in one piece arms no timer.
    """

    limits: Patience
    _timer: asyncio.TimerHandle | None = None
    _awaited: str | None = None
    _part: str | None = "head"
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await("head")

    def on_message_begin(self) -> None:
        self._part = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._part = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._part = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaited == "reader":
            return  # what it goes on to send is no sign that it reads
        self._head_bytes = self._head_bytes + len(data) if self._part == "head" else 0
        if self._head_bytes > _HEAD_BYTES:
            self._hang_up(_TOO_LONG)
        else:
            self._await(self._part)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await("reader")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._await(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._await(None)
        super().connection_lost(exc)

    def _await(self, what: str | None) -> None:
        if what == self._awaited:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = what
        limit_s = {"head": self.limits.head_s, "body": self.limits.body_s, "reader": self.limits.read_s}
        self._timer = None if what is None else self.loop.call_later(limit_s[what], self._give_up)

    def _give_up(self) -> None:
        if self._awaited == "reader":
            self.transport.abort()
        else:
            self._hang_up(_TIMED_OUT)

    def _hang_up(self, last_words: bytes) -> None:
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                self.transport.write(last_words)
            self.transport.close()
