"""The model server as a process: what SageMaker sees when it stops a container."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from embedded.emulator import answers, free_port

ROOT = Path(__file__).parents[2]
BODY = json.dumps({"instances": [{"tx_amount": 950.0}]}).encode()
PATIENCE_S = 180.0


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "ml_model", "serve", "--port", str(port)], cwd=ROOT)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/ping"))
        yield process, port
    finally:
        process.kill()
        process.wait()


def until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_call_under_way_is_answered_after_the_stop_and_new_ones_are_refused(
    server: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as call:
        head = (
            f"POST /invocations HTTP/1.1\r\nHost: fraud\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
        )
        call.sendall(head.encode())
        assert call.recv(4096).startswith(b"HTTP/1.1 100")  # the call is under way: the server asks for its body
        process.terminate()
        until(lambda: not listens(port))
        call.sendall(BODY)
        answer = b"".join(iter(lambda: call.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    (score,) = json.loads(answer.rpartition(b"\r\n")[2])["predictions"]
    assert 0 < score < 1
    process.wait(PATIENCE_S)
