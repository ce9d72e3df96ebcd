"""A decision service as a process of its own on one core, and a Kinesis on loopback for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from embedded.emulator import free_port

_READY_S = 300.0
_STREAMS = ("fraud-transactions", "fraud-labels")


class Served(NamedTuple):
    """A service that is ready.

    Attributes:
        process: its.
        port: on this machine.
        ready_s: seconds from its start until it was ready.
    """

    process: subprocess.Popen[bytes]
    port: int
    ready_s: float


@contextmanager
def loopback_kinesis() -> Iterator[str]:
    """Serves the streams of transactions and labels; gives the address."""
    command = [sys.executable, "-m", "tests.support.kinesis_server", *_STREAMS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()


@contextmanager
def decision_service(given: Mapping[str, Any], core: int) -> Iterator[Served]:
    """Runs `fraud decide` on one core.

    Args:
        given: settings by dotted name.
        core: number of the core.

    Raises:
        SystemExit: it ended or was not ready in five minutes.
    """
    port = free_port()
    arguments = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = [sys.executable, "-m", "cli.main", "decide", "--port", str(port), *arguments]
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    try:
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() - began > _READY_S:
                raise SystemExit(f"the service did not become ready (exit code {process.poll()})")
            time.sleep(0.1)
        yield Served(process, port, time.monotonic() - began)
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1).status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
