"""Ranges in lists: networks of addresses and spans of BINs, prepared once so that a look-up is a binary search."""

from __future__ import annotations

import heapq
import ipaddress
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

_IPV6_FROM = 1 << 32
"""Where the numbers of IPv6 addresses begin, behind those of IPv4."""

_BIN_DIGITS = 8
_BIN = re.compile(r"[0-9]{6,8}")

Span = tuple[int, int]
"""First and last number of a value or range."""


def _address_span(text: str) -> Span | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    number = int(address) + (_IPV6_FROM if address.version == 6 else 0)
    return number, number


def _network_span(text: str) -> Span | None:
    if "/" not in text:
        return _address_span(text) if ":" in text else None  # an IPv6 address can be written in many ways
    network = ipaddress.ip_network(text)
    offset = _IPV6_FROM if network.version == 6 else 0
    return int(network.network_address) + offset, int(network.broadcast_address) + offset


def _bin_span(text: str) -> Span | None:
    if not _BIN.fullmatch(text):
        return None
    return int(text.ljust(_BIN_DIGITS, "0")), int(text.ljust(_BIN_DIGITS, "9"))


def _bins_span(text: str) -> Span | None:
    first, dash, last = text.partition("-")
    if not dash:
        return None
    if not (_BIN.fullmatch(first) and _BIN.fullmatch(last) and len(first) == len(last)):
        raise ValueError("a range of BINs is two BINs of equally many digits, as 411111-411199")
    if first > last:
        raise ValueError(f"the range {text} ends before it begins")
    return int(first.ljust(_BIN_DIGITS, "0")), int(last.ljust(_BIN_DIGITS, "9"))


class _Form(NamedTuple):
    of_value: Callable[[str], Span | None]
    of_range: Callable[[str], Span | None]


_FORMS = {"ip": _Form(_address_span, _network_span), "bin": _Form(_bin_span, _bins_span)}
"""What may have ranges, by what a list is of."""

RANGED = frozenset(_FORMS)
"""What may have ranges."""


def range_of(of: str, text: str) -> Span | None:
    """The numbers that an entry stands for; None where it is one plain value.

    Args:
        of: what its list is of.
        text: the entry.

    Raises:
        ValueError: it looks like a range and is none.

    >>> range_of("ip", "10.1.0.0/16"), range_of("bin", "411111-411199"), range_of("card", "tok-1")
    ((167837696, 167903231), (41111100, 41119999), None)
    """
    form = _FORMS.get(of)
    return None if form is None else form.of_range(text)


@dataclass(frozen=True)
class Ranges:
    """Ranges that do not overlap, in order, each with the time when it expires.

    Attributes:
        of: what they are of.
        starts: first number of each.
        ends: last number of each.
        expires_ms: UTC milliseconds of each.
    """

    of: str
    starts: list[int]
    ends: list[int]
    expires_ms: list[int]

    @classmethod
    def joined(cls, of: str, entries: Iterable[tuple[Span, int]]) -> Ranges:
        """Ranges from entries that may overlap; where they do, the latest expiry counts."""
        waiting = sorted(entries)
        bounds = sorted({bound for (first, last), _ in waiting for bound in (first, last + 1)})
        made = cls(of, [], [], [])
        open_: list[tuple[int, int]] = []
        place = 0
        for start, end in pairwise(bounds):
            while place < len(waiting) and waiting[place][0][0] <= start:
                (_, last), expires_ms = waiting[place]
                heapq.heappush(open_, (-expires_ms, last))
                place += 1
            while open_ and open_[0][1] < start:
                heapq.heappop(open_)
            if open_:
                made.starts.append(start)
                made.ends.append(end - 1)
                made.expires_ms.append(-open_[0][0])
        return made

    def expiry_ms(self, value: str) -> int:
        """When a value expires; -1 where no range holds the whole of it.

        >>> Ranges.joined("bin", [((41111100, 41119999), 7)]).expiry_ms("411150")
        7
        """
        span = _FORMS[self.of].of_value(value)
        if span is None:
            return -1
        first, last = span
        place = bisect_right(self.starts, first) - 1
        if place < 0 or self.ends[place] < first:
            return -1
        soonest = self.expires_ms[place]
        while self.ends[place] < last:  # a BIN of six digits may need several that follow each other
            place += 1
            if place == len(self.starts) or self.starts[place] != self.ends[place - 1] + 1:
                return -1
            soonest = min(soonest, self.expires_ms[place])
        return soonest
