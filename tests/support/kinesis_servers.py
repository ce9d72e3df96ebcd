"""Kinesis servers on loopback for contract tests: the bundled stand-in, `kinesis-local`, and our scripted one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from adapters.aws import aws_client
from embedded.stand_in import PROGRAM, free_port, start_stand_in
from fraud.settings import Aws

REGION = "us-east-1"
_KINESIS_LOCAL = Path(__file__).parent / "kinesis_local" / "node_modules" / "kinesis-local"


def kinesis_client(url: str) -> Any:
    return aws_client("kinesis", Aws(endpoint_url=url, region=REGION))


@contextmanager
def ministack() -> Iterator[str]:
    """The stand-in of the embedded stack; skips where it is not installed."""
    if not PROGRAM.exists():
        pytest.skip("the local stand-in is not installed: make setup")
    with tempfile.TemporaryDirectory() as folder:
        child, url = start_stand_in(Path(folder))
        try:
            yield url
        finally:
            child.stop()


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
    deadline = time.monotonic() + 30
    while True:
        try:
            client.list_streams()
            return
        except BotoCoreError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
