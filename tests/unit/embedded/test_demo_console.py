"""Where the demo's console listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from embedded import demo_console
from embedded.demo_console import free_console_port
from fraud.errors import MisconfiguredError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield int(busy.getsockname()[1])


def test_a_taken_port_is_refused_where_it_was_asked_for_and_replaced_where_it_was_not(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MisconfiguredError, match=f"--console-port.*{taken}"):
        free_console_port(taken)
    monkeypatch.setattr(demo_console, "PORT", taken)
    chosen = free_console_port(None)
    assert chosen != taken
    assert free_console_port(chosen) == chosen
