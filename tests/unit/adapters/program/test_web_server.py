"""Callers that keep a connection half open, on raw sockets against a server with small limits."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse

from adapters.program.web_server import Patience, Tls, listen, serve, server_of
from fraud.errors import MisconfiguredError
from tests.support.certificates import self_signed

PATIENCE = Patience(head_s=0.3, body_s=0.3, read_s=0.3)
_SOON_S = 30.0
MEGABYTES = 64


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    @app.get("/large")
    async def large() -> PlainTextResponse:
        return PlainTextResponse(b"x" * (MEGABYTES << 20))

    with serving_at(server_of(app, PATIENCE)) as found:
        yield found


@contextmanager
def serving_at(server: uvicorn.Server) -> Iterator[tuple[str, int]]:
    """Runs a server for as long as the context lasts; gives its address."""
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _SOON_S
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield listener.getsockname()
        server.should_exit = True
        thread.join(_SOON_S)


def until_closed(caller: socket.socket, drip: bytes = b"") -> bytes:
    """What the server says until it hangs up, while one byte after the other is sent."""
    caller.settimeout(0.05)
    said, deadline = b"", time.monotonic() + _SOON_S
    while time.monotonic() < deadline:
        try:
            part = caller.recv(4096)
        except TimeoutError:
            try:
                caller.sendall(drip)
            except OSError:
                return said
            continue
        except ConnectionError:
            return said
        if not part:
            return said
        said += part
    raise AssertionError("the connection is still open")


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (b"G", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b""),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["nothing", "a letter", "half a head", "a dripping head", "no body", "a dripping body", "dripping chunks"],
)
def test_a_half_open_request_is_hung_up_on(address: tuple[str, int], sent: bytes, drip: bytes) -> None:
    with socket.create_connection(address) as caller:
        caller.sendall(sent)
        assert until_closed(caller, drip).startswith(b"HTTP/1.1 408 ")


def test_a_head_without_end_is_cut_off(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000)
        assert until_closed(caller).startswith(b"HTTP/1.1 431 ")


def test_the_second_request_of_a_connection_has_the_same_limit(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as caller:
        caller.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab")
        caller.settimeout(_SOON_S)
        assert caller.recv(4096).startswith(b"HTTP/1.1 200 ")
        caller.sendall(b"GET / HTTP/1.1\r\nHo")
        assert b"HTTP/1.1 408 " in until_closed(caller, b"s")


def test_a_connection_stays_longer_than_load_balancers_keep_theirs() -> None:
    config = server_of(None, Patience()).config
    assert config.timeout_keep_alive > 60  # seconds: what an Application Load Balancer begins with


def test_a_caller_that_does_not_read_its_answer_is_hung_up_on(address: tuple[str, int]) -> None:
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(address)
        caller.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + _SOON_S
        while True:
            assert time.monotonic() < deadline, "the connection is still open"
            try:
                caller.sendall(b"x")
            except ConnectionError:
                break
            time.sleep(0.05)


def test_a_request_in_pieces_that_comes_in_time_is_answered(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as caller:
        for part in (
            b"POST /echo HTTP/1.1\r\nHo",
            b"st: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
            b"a",
            b"b",
        ):
            caller.sendall(part)
        assert until_closed(caller).endswith(b"\r\n\r\nab")


def test_with_a_certificate_it_answers_over_tls_alone(tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/")
    async def root() -> PlainTextResponse:
        return PlainTextResponse("over TLS")

    certificate = self_signed(tmp_path)
    with serving_at(server_of(app, PATIENCE, certificate)) as (host, port):
        trusting = ssl.create_default_context(cafile=certificate.certificate)
        with (
            socket.create_connection((host, port)) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as caller,
        ):
            caller.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert until_closed(caller).endswith(b"over TLS")
        with socket.create_connection((host, port)) as without:
            without.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"over TLS" not in until_closed(without)


def test_a_certificate_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"^decide\.tls_certificate: ") as refused:
        server_of(FastAPI(), PATIENCE, Tls(str(tmp_path / "none.pem"), str(tmp_path / "none.pem")))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("port", [-1, 0, 65_536, 99_999, 10**30])
def test_a_port_that_does_not_exist_is_one_line(port: int) -> None:
    with pytest.raises(MisconfiguredError, match=r"^--port -?\d+: there is no such port") as refused:
        serve(None, "127.0.0.1", port)
    assert "\n" not in str(refused.value)


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            MisconfiguredError, match=f"^--port {port}: cannot listen at 127.0.0.1: Address already in use"
        ):
            serve(None, "127.0.0.1", port)
    with pytest.raises(MisconfiguredError, match=r"cannot listen at 203\.0\.113\.9: "):
        serve(None, "203.0.113.9", 8090)
