"""Kinesis servers on loopback for contract tests: the bundled emulator, `kinesis-local`, and our scripted one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.aws.clients import aws_client
from embedded.emulator import PROGRAM, free_port
from fraud.errors import UnavailableError
from fraud.settings import Aws
from tests.support.emulators import EMULATORS

REGION = "us-east-1"
_KINESIS_LOCAL = Path(__file__).parent / "kinesis_local" / "node_modules" / "kinesis-local"


def kinesis_client(url: str) -> Any:
    return aws_client("kinesis", Aws(endpoint_url=url, region=REGION))


@contextmanager
def ministack() -> Iterator[str]:
    """The emulator of the embedded stack; skips where it is not installed."""
    if not PROGRAM.exists():
        pytest.skip("the local emulator is not installed: make setup")
    with EMULATORS.one() as url:
        yield url


@contextmanager
def kinesis_local() -> Iterator[str]:
    """A server with correct shard lineage; skips where npm could not install it."""
    node = shutil.which("node")
    if node is None or not _KINESIS_LOCAL.exists():
        pytest.skip("kinesis-local is not installed: make setup with npm present")
    port, secure_port = free_port(), free_port()
    environment = os.environ | {
        "KINESIS_MOCK_CERT_PATH": str(_KINESIS_LOCAL / "server.json"),
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(secure_port),
        "AWS_REGION": REGION,
        "LOG_LEVEL": "ERROR",
    }
    with subprocess.Popen(
        [node, str(_KINESIS_LOCAL / "main.js")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await_answer(url, process)
            yield url
        finally:
            process.kill()


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    client = kinesis_client(url)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.list_streams()
            return
        except UnavailableError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
