"""The outbox: an append-only log in the archive of what became known, and how far each receiver is in it.

    events/log/000000000001.json    one entry: nobody can write a number that is taken, which makes it the commit
    events/receivers/NAME.json      up to which event a receiver has them all
    events/head.json                near which number the log ends

An entry holds no event but where each is kept already: a table of decisions, a change in an alert's history, one in the
lists' log, the pin of a batch. It also says how far the collection was after it, so that both are stored in one step.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from adapters.archive.archive import Archive
from adapters.archive.layout import OUTBOX_HEAD, outbox_key, receiver_key

_HEAD_EVERY = 50
"""Entries between two notes of the head: the most that a start looks through."""


class OfDecisions(msgspec.Struct, frozen=True, tag="decisions"):
    """Those above approve in a table of the archive."""

    key: str


class OfAlert(msgspec.Struct, frozen=True, tag="alert"):
    """The change that gave an alert a version."""

    alert_id: str
    version: int


class OfList(msgspec.Struct, frozen=True, tag="list"):
    """A change in the log of living lists."""

    number: int


class OfPolicy(msgspec.Struct, frozen=True, tag="policy"):
    """The first batch of a query that another version of the policy's files decides; seen at a time."""

    query: str
    batch: int
    before: str
    after: str
    at_ms: int


Reference = OfDecisions | OfAlert | OfList | OfPolicy


class QueryReached(msgspec.Struct, frozen=True):
    """How far the collection is in a query.

    Attributes:
        batch: of which more tables may come; those before it are complete. -1 before the first.
        tables: of this batch, those that are taken already.
        policy: version of the policy's files that the last batch was pinned to; empty where it is not known.
    """

    batch: int = -1
    tables: list[str] = []
    policy: str = ""


class Reached(msgspec.Struct, frozen=True):
    """How far the collection is.

    Attributes:
        queries: in the decisions, by query.
        lists: number of the last change of living lists.
    """

    queries: dict[str, QueryReached] = {}
    lists: int = 0


class Entry(msgspec.Struct, frozen=True):
    """One entry of the log.

    Attributes:
        number: its place, from 1.
        at_ms: when it was written, UTC milliseconds.
        reached: how far the collection is after it.
        references: where its events are, in their order.
    """

    number: int
    at_ms: int
    reached: Reached
    references: list[Reference] = []


class Standing(msgspec.Struct, frozen=True):
    """How far a receiver is.

    Attributes:
        entry: it has all events up to the end of this entry.
        after: id of the last event that it has of the next entry; empty for none.
        delivered: events that it took so far.
        delivered_ms: when it took the last one; None for never.
        paused_ms: since when it is paused; None where it is not.
        problem: why it is paused.
    """

    entry: int = 0
    after: str = ""
    delivered: int = 0
    delivered_ms: int | None = None
    paused_ms: int | None = None
    problem: str = ""


class Outbox:
    """The log and the receivers' standings; safe to use from several threads and processes.

    Args:
        archive: where it lies.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._last: Entry | None = None

    def entry(self, number: int) -> Entry | None:
        """An entry; None where there is none."""
        last = self._last
        if last is not None and last.number == number:
            return last
        stored = self._archive.get(outbox_key(number))
        return None if stored is None else msgspec.json.decode(stored, type=Entry)

    def last(self) -> Entry | None:
        """The last entry, None while there is none."""
        found = self._last or self._near_head()
        while (following := self.entry(1 if found is None else found.number + 1)) is not None:
            found = following
        self._last = found
        return found

    def append(self, entry: Entry) -> bool:
        """Writes the next entry; False, and nothing done, where somebody else has written one of its number."""
        if not self._archive.put_new(outbox_key(entry.number), msgspec.json.encode(entry)):
            return False
        self._last = entry
        if entry.number % _HEAD_EVERY == 0:
            self._archive.replace(OUTBOX_HEAD, msgspec.json.encode(entry.number))
        return True

    def first_since(self, at_ms: int) -> int:
        """The number of the first entry written at a time or later; found by halving."""
        last = self.last()
        low, high = 1, 1 if last is None else last.number + 1
        while low < high:
            middle = (low + high) // 2
            found = self.entry(middle)
            if found is not None and found.at_ms >= at_ms:
                high = middle
            else:  # one that is no longer kept is older than all that are
                low = middle + 1
        return low

    def standing(self, receiver: str) -> tuple[Standing, str | None]:
        """How far a receiver is, and the tag of the note that says so; None where there is none yet."""
        stored = self._archive.find(receiver_key(receiver))
        if stored is None:
            return Standing(), None
        return msgspec.json.decode(stored.data, type=Standing), stored.tag

    def set_standing(self, receiver: str, standing: Standing, tag: str | None) -> bool:
        """Notes how far a receiver is, in place of the note with a tag; False where somebody else changed it."""
        key, data = receiver_key(receiver), msgspec.json.encode(standing)
        return self._archive.put_over(key, data, tag)

    @property
    def end(self) -> int:
        """The number of the last entry that this object has seen; 0 before any. See `last`."""
        return 0 if self._last is None else self._last.number

    def after(self, number: int) -> Iterator[Entry]:
        """The entries after a number, up to `end`."""
        while number < self.end:
            number += 1
            found = self.entry(number)
            if found is not None:
                yield found

    def _near_head(self) -> Entry | None:
        stored = self._archive.get(OUTBOX_HEAD)
        return None if stored is None else self.entry(msgspec.json.decode(stored, type=int))
