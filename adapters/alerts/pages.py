"""Pages over the write-sharded indexes of the alert table: many index partitions read as one line, newest first."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import groupby, islice
from typing import NamedTuple

from adapters.alerts.alert import Item
from fraud.errors import FraudError

_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9a-f]{12})")
_SURPLUS = 6
"""Read of each partition beyond its share of a page, as the shares are uneven."""


class CursorError(FraudError):
    """The text is not a cursor that a page gave."""


class AlertPage(NamedTuple):
    """Some alerts and where the next ones begin.

    Attributes:
        items: alerts, newest first.
        cursor: give it back to read on; None after the last alert.
    """

    items: list[Item]
    cursor: str | None


class Cursor(NamedTuple):
    """A place in the one order of a query's alerts: newest first, those of one millisecond by a digest of their id.

    The order does not depend on how an index partition sorts equal times, and a place outlives the alert that was
    there: what was closed or has expired in between moves nothing. The digest keeps card tokens out of cursors.
    """

    time_ms: int
    digest: str

    @classmethod
    def of(cls, item: Item, time: str) -> Cursor:
        """Where an alert lies in the order by the attribute `time`."""
        return cls(item[time], hashlib.sha256(item["alert_id"].encode()).hexdigest()[:12])

    @classmethod
    def parse(cls, cursor: str) -> Cursor:
        """Reads a cursor.

        Raises:
            CursorError: it is none.

        >>> Cursor.parse("1768478400000.0123456789ab")
        Cursor(time_ms=1768478400000, digest='0123456789ab')
        """
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise CursorError("not a cursor; begin without one")
        return cls(int(found[1]), found[2])

    @property
    def order(self) -> tuple[int, str]:
        """What to sort by."""
        return -self.time_ms, self.digest

    def __str__(self) -> str:
        return f"{self.time_ms}.{self.digest}"


class Span(NamedTuple):
    """Times from `since_ms` to `until_ms`, both included."""

    since_ms: int = 0
    until_ms: int = 10**15


Read = Callable[[Span, int], Iterator[Item]]
"""Reads one index partition's alerts of a span, newest first, about so many at a time."""


def page_of(
    partitions: Sequence[Read], time: str, span: Span, limit: int, cursor: str | None, pool: Executor
) -> AlertPage:
    """Merges index partitions to one page.

    Args:
        partitions: reads of the index partitions.
        time: the attribute that they are sorted by.
        span: only alerts inside it.
        limit: most alerts of the page.
        cursor: where the page before ended; None begins with the newest.
        pool: reads the beginnings of all partitions at the same time.

    Raises:
        CursorError: the cursor is not one.
    """
    after = None if cursor is None else Cursor.parse(cursor)
    if after is not None:
        span = span._replace(until_ms=min(span.until_ms, after.time_ms))
    at_a_time = limit // len(partitions) + _SURPLUS
    lines = [_in_order(read(span, at_a_time), time, after) for read in partitions]
    merged = heapq.merge(*pool.map(_begun, lines), key=lambda placed: placed[0].order)
    page = list(islice(merged, limit))
    more = next(merged, None) is not None
    return AlertPage([item for _, item in page], str(page[-1][0]) if more and page else None)


Placed = tuple[Cursor, Item]


def _in_order(items: Iterator[Item], time: str, after: Cursor | None) -> Iterator[Placed]:
    for _, same_time in groupby(items, key=lambda item: int(item[time])):
        placed = sorted(((Cursor.of(item, time), item) for item in same_time), key=lambda one: one[0].order)
        for place, item in placed:
            if after is None or place.order > after.order:
                yield place, item


def _begun(line: Iterator[Placed]) -> Iterator[Placed]:
    """The same line with its first element read."""
    first = next(line, None)
    return iter(()) if first is None else _resumed(first, line)


def _resumed(first: Placed, rest: Iterator[Placed]) -> Iterator[Placed]:
    yield first
    yield from rest
