"""Ports and addresses that programs take from their users."""

from __future__ import annotations

from fraud.errors import MisconfiguredError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Addresses that only programs of this machine reach."""


def check_port(flag: str, port: int) -> int:
    """The port, if there is one of that number.

    Raises:
        MisconfiguredError: there is none.
    """
    if not 1 <= port <= 65_535:
        raise MisconfiguredError(f"{flag} {port}", "there is no such port; choose one from 1 to 65535")
    return port
