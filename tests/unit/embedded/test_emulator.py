"""Ports for programs that start a little later."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from embedded.emulator import free_port

_ASKS = """
import os, sys
from embedded.emulator import free_port
os.getpid = lambda: int(sys.argv[1])
print(free_port())
"""


def test_a_process_that_chooses_alike_gets_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids that are a multiple of 120 apart choose from the same ports, and nothing listens yet."""
    ours = [free_port() for _ in range(3)]
    monkeypatch.setattr("embedded.emulator._chosen", iter(range(100)))
    first = free_port()
    for _ in range(2):  # the end of the first gives its port back
        command = [sys.executable, "-c", _ASKS, str(os.getpid() + 120)]
        theirs = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert theirs not in {*ours, first}
    assert len({*ours, first}) == 4
