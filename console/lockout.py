"""Counts what failed to sign in, and locks it: half of an hour after ten failures (PCI DSS 4.0, 8.3.4)."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

FAILURES = 10
"""Failures in a row that lock."""

LOCK_S = 1800.0
"""How long a lock lasts, and how long failures below it are remembered after the last of them."""

KEPT = 10_000
"""Most strangers that are remembered: under an attack by more of them, the one that was quiet longest is forgotten."""

_HOST_BITS_IPV6 = 64


@dataclass
class _Failed:
    names: list[str] = field(default_factory=list)
    last_s: float = 0.0


class Lockout:
    """The failures of each key: a user's name, or the address of a caller.

    Args:
        kept: most keys that are remembered.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._running: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._failed)

    def locked_s(self, key: str, now_s: float) -> float:
        """Seconds until the key may try again; 0 where it may now."""
        while self._failed and next(iter(self._failed.values())).last_s + LOCK_S <= now_s:
            self._failed.popitem(last=False)
        failed = self._failed.get(key)
        return 0.0 if failed is None or len(failed.names) < FAILURES else failed.last_s + LOCK_S - now_s

    def takes(self, key: str) -> bool:
        """Whether one more try of the key could run without passing the limit, should all that run fail."""
        failed = self._failed.get(key)
        return (0 if failed is None else len(failed.names)) + self._running[key] < FAILURES

    def begin(self, key: str) -> None:
        """Notes that a try runs, of which nobody knows yet whether it fails."""
        self._running[key] += 1

    def end(self, key: str) -> None:
        """Notes that a try that ran is decided."""
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]

    def add(self, key: str, name: str, now_s: float) -> None:
        """Counts a failure to sign in as somebody; `now_s` never goes back."""
        failed = self._failed.setdefault(key, _Failed())
        failed.names.append(name)
        failed.last_s = now_s
        self._failed.move_to_end(key)
        if len(self._failed) > self._kept:
            self._failed.popitem(last=False)

    def forgive(self, key: str, name: str) -> None:
        """Forgets the key's failures to sign in as somebody, who did sign in now; those as others stay."""
        failed = self._failed.get(key)
        if failed is not None:
            failed.names = [each for each in failed.names if each != name]
            if not failed.names:
                del self._failed[key]


def network_of(address: str) -> str:
    """What one caller holds: an IPv4 address, or the 64 bits of an IPv6 network, within which it may take any address.

    >>> network_of("198.51.100.7"), network_of("::ffff:198.51.100.7"), network_of("2001:db8:1:2:3:4:5:6")
    ('198.51.100.7', '198.51.100.7', '2001:db8:1:2::/64')
    >>> network_of("unknown")
    'unknown'
    """
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, _HOST_BITS_IPV6), strict=False))
