"""Keeps an index, of payments or of what rules found, up with the archive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import pyarrow as pa

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.payment_index import ARCHIVED

_LOOK_BACK = dt.timedelta(hours=3)
"""How far before the last hour seen a full turn looks: partitions of a batch finish in any order, and a batch that
began in one hour may end in the next or, after a failure, later."""

_NEAR = 64
"""Keys that a near turn lists again."""

_AT_A_TIME = 8
"""Objects read at the same time."""

_FULL_EVERY = dt.timedelta(minutes=5)


class Index(Protocol):
    """What takes objects of the archive over; see `PaymentIndex`."""

    def holds(self, key: str) -> bool: ...  # noqa: D102

    def add(self, key: str, table: pa.Table, /) -> bool: ...  # noqa: D102

    def forget(self, before_key: str) -> int: ...  # noqa: D102

    def last_key(self, prefix: str) -> str | None: ...  # noqa: D102


class PaymentFollower:
    """Takes new objects of the archive over into the index.

    Args:
        archive: is followed.
        index: takes them.
        clock: aware UTC time.
        days: how long the index remembers.
        kind: of the objects.
        columns: that the index reads of them.

    Attributes:
        complete: whether all that was in the archive at the start is in the index.
    """

    def __init__(
        self,
        archive: Archive,
        index: Index,
        clock: Callable[[], dt.datetime],
        days: int,
        kind: ArchiveKind = ArchiveKind.DECISIONS,
        columns: Sequence[str] = ARCHIVED,
    ) -> None:
        self._archive = archive
        self._index = index
        self._clock = clock
        self._days = days
        self._kind = kind
        self._columns = columns
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="payments")
        self._recent: list[str] = []
        self._full_at = clock()
        self.complete = False

    def turn(self) -> int:
        """Takes over what is new; gives how many objects. Now and then it also looks for what came late."""
        now = self._clock()
        if now < self._full_at:
            return self._take(self._recent[0] if self._recent else self._oldest())
        oldest = self._oldest()
        self._index.forget(oldest)
        last = self._index.last_key(self._kind.prefix)
        taken = self._take(oldest if last is None else max(oldest, _hour_before(last)))
        self._full_at = now + _FULL_EVERY
        self.complete = True
        return taken

    def _oldest(self) -> str:
        day = (self._clock() - dt.timedelta(days=self._days)).date()
        return f"{self._kind.prefix}date={day.isoformat()}/"

    def _take(self, after: str) -> int:
        taken = 0
        keys = iter(self._archive.keys(self._kind.prefix, after))
        while some := list(islice(keys, _AT_A_TIME)):
            new = [key for key in some if not self._index.holds(key)]
            tables = self._pool.map(lambda key: self._archive.read_table(key, self._columns), new)
            taken += sum(self._index.add(key, table) for key, table in zip(new, tables, strict=True))
            self._recent = sorted({*self._recent, *some})[-_NEAR:]
        return taken


def _hour_before(key: str) -> str:
    """Where a full turn begins, given the last key taken over."""
    kind, date, hour, _ = key.split("/")
    seen = dt.datetime.fromisoformat(f"{date.removeprefix('date=')}T{hour.removeprefix('hour=')}:00+00:00")
    begin = seen - _LOOK_BACK
    return f"{kind}/date={begin:%Y-%m-%d}/hour={begin:%H}/"
