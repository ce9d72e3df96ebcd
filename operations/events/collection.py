"""Collects what happened into the outbox, from where it is kept already.

Decisions, and with them opened alerts and the policy in force, follow from pins and tables of the archive; changed
alerts from the notes that the alert table takes in the same step as a change; changed lists from their log. A kill at
any instant leaves an entry written or not; what is not in an entry is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import structlog

from adapters.alerts.alert import Item, change_note
from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, batch_of_key, query_of_key
from adapters.archive.pins import Pin, Pins
from adapters.events.outbox import (
    Entry,
    OfAlert,
    OfDecisions,
    OfList,
    OfPolicy,
    Outbox,
    QueryReached,
    Reached,
    Reference,
)
from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import files_version
from operations.events.rendering import Render

_BATCHES = 200
"""Batches of a query that one entry covers at most."""

_CHANGES = 200
"""Changes of alerts, and of lists, that one entry covers at most."""

_SILENT_BATCHES = 50
"""Batches without anything to send after which an entry notes that they were seen."""

_AT_A_TIME = 8

log = structlog.get_logger()


class Changes(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def changes(self) -> list[Item]: ...  # noqa: D102

    def delete(self, alert_id: str) -> None: ...  # noqa: D102


class Collection:
    """Writes the outbox; one at a time is enough, and several disturb each other only in speed.

    Args:
        archive: is followed.
        query: the job's; those that were followed before are followed further.
        alerts: note their changes.
        lists: the store of living lists; None where there is none.
        outbox: takes what is found.
        render: the events of a reference.
        now_ms: UTC milliseconds.
        from_now: whether the very first turn leaves out all that is there.
    """

    def __init__(
        self,
        archive: Archive,
        query: str,
        alerts: Changes,
        lists: ListStore | None,
        outbox: Outbox,
        render: Render,
        now_ms: Callable[[], int],
        from_now: bool,
    ) -> None:
        self._archive = archive
        self._query = query
        self._alerts = alerts
        self._lists = lists
        self._outbox = outbox
        self._render = render
        self._now_ms = now_ms
        self._from_now = from_now
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="collection")
        self._taken_until = -1

    def turn(self) -> int:
        """Writes an entry of what is new; gives the number of its references, 0 where nothing was.

        Raises:
            FraudError: a store cannot be read or written; nothing is lost.
        """
        last = self._outbox.last()
        if last is None and self._from_now:
            self._outbox.append(Entry(1, self._now_ms(), self._here()))
            return 0
        before = Reached() if last is None else last.reached
        if last is not None and last.number > self._taken_until:
            self._take_notes(last)
        # Alerts first: the decision that opened one of them is then found below, and goes before.
        changed = self._alerts.changes()[:_CHANGES]
        references: list[Reference] = []
        queries: dict[str, QueryReached] = {}
        for query in {self._query: None, **before.queries}:
            found, queries[query] = self._of_query(query, before.queries.get(query, QueryReached()))
            references += found
        references += [OfAlert(note["changed_alert"], note["changed_version"]) for note in changed]
        lists = self._lists_until(before.lists)
        references += [OfList(number) for number in range(before.lists + 1, lists + 1)]
        after = Reached(queries, lists)
        if not references and not _worth_noting(before, after):
            return 0
        entry = Entry(1 if last is None else last.number + 1, self._now_ms(), after, references)
        if not self._outbox.append(entry):
            return 0  # another process was faster: the next turn goes on from its entry
        self._take_notes(entry)
        return len(references)

    def _take_notes(self, entry: Entry) -> None:
        """Removes the notes of changed alerts that an entry has: a process that was killed may have left them."""
        for reference in entry.references:
            if isinstance(reference, OfAlert):
                self._alerts.delete(change_note(reference.alert_id, reference.version, 0)["alert_id"])
        self._taken_until = entry.number

    def _here(self) -> Reached:
        """Where everything is now."""
        newest = Pins(self._archive, self._query).newest()
        queries = {}
        if newest is not None:
            pin = Pins(self._archive, self._query).read(newest)
            tables = [] if pin is None else list(self._tables(self._query, {newest: pin}))
            policy = "" if pin is None else files_version(pin.policy_version)
            queries[self._query] = QueryReached(newest, tables, policy)
        return Reached(queries, 0 if self._lists is None else self._lists.read().number)

    def _of_query(self, query: str, reached: QueryReached) -> tuple[list[Reference], QueryReached]:
        """What is new of a query.

        A batch is complete once a later one is pinned, as the job commits one after the other. Pins are listed before
        tables: so all tables of batches before the last one that was listed are found.
        """
        pins = Pins(self._archive, query)
        numbers = list(islice(pins.numbers(reached.batch - 1), _BATCHES))
        if not numbers:
            return [], reached
        read = dict(zip(numbers, self._pool.map(pins.read, numbers), strict=True))
        pinned = {number: pin for number, pin in read.items() if pin is not None}
        tables = [key for key in self._tables(query, pinned) if key not in reached.tables]
        of_batch: dict[int, list[str]] = {}
        for key, events in zip(tables, self._pool.map(self._render, map(OfDecisions, tables)), strict=True):
            if events:
                of_batch.setdefault(batch_of_key(key), []).append(key)
        references: list[Reference] = []
        policy = reached.policy
        for number, pin in pinned.items():
            version = files_version(pin.policy_version)
            if version != policy:
                if policy:
                    references.append(OfPolicy(query, number, policy, version, self._now_ms()))
                policy = version
            references += map(OfDecisions, of_batch.get(number, []))
        newest = numbers[-1]
        seen = [*(reached.tables if newest == reached.batch else []), *(t for t in tables if batch_of_key(t) == newest)]
        return references, QueryReached(newest, seen, policy)

    def _tables(self, query: str, pins: dict[int, Pin]) -> Iterator[str]:
        """The tables of decisions of batches, in the order of batches and partitions."""
        kind = ArchiveKind.DECISIONS
        hours: dict[str, list[int]] = {}
        for number, pin in pins.items():
            if pin.arrival_ms is None:
                log.warning("batch_without_hour", query=query, batch=number, effect="its decisions become no events")
                continue
            hours.setdefault(kind.batch_prefix(query, number, pin.arrival_ms).rpartition("/")[0], []).append(number)
        found: list[tuple[int, str]] = []
        for hour, numbers in hours.items():
            begin = f"{hour}/{query}-"
            for key in self._archive.keys(begin, after=f"{begin}{min(numbers):012d}-"):
                if query_of_key(key) != query:
                    continue  # one whose name begins alike
                if batch_of_key(key) > max(numbers):
                    break
                found += [(batch_of_key(key), key)] if batch_of_key(key) in pins else []
        return (key for _, key in sorted(found))

    def _lists_until(self, number: int) -> int:
        return number if self._lists is None else min(self._lists.read().number, number + _CHANGES)


def _worth_noting(before: Reached, after: Reached) -> bool:
    """Whether an entry without events is written, so that a start need not look through many batches again."""
    return any(_advance(before.queries.get(name), found) for name, found in after.queries.items())


def _advance(before: QueryReached | None, after: QueryReached) -> bool:
    if before is None or not before.policy:
        return bool(after.policy)
    return after.batch - before.batch >= _SILENT_BATCHES
