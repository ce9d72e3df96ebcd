"""Erases a cardholder: every row that bears a card token, from alerts, archive and Delta tables.

What it cannot reach ends by itself: streams, keyed state, old versions of objects (docs/threat-model.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from adapters.alerts.table import AlertTable
from adapters.archive.archive import Archive
from adapters.archive.layout import POLICIES, ArchiveKind, erased_key
from adapters.archive.tables import conform, today
from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import PolicyBundle
from fraud.records.fate import places
from fraud.records.token_search import names_token, without_token
from operations.lake import PLACE, Lake, first_key, literal

_PAGE = 100
_REPORT_EVERY = 500


@dataclass(frozen=True)
class Erased:
    """What was found of a card, and erased unless it was only looked for.

    Attributes:
        alerts: items of the table of alerts.
        rows: rows of the archive by kind.
        objects: objects of the archive that were rewritten.
        read: objects that were read for it: those that a table names, and those that no table holds yet.
        open_objects: objects that may still be written to, and were not looked at.
        policies: stored policy versions whose lists named the card.
        lists: changes and snapshots of living lists that named it.
        events: events and predictions of the API of Amazon Fraud Detector that named it.
    """

    alerts: int
    rows: dict[str, int]
    objects: int
    read: int
    open_objects: int
    policies: int
    lists: int
    events: int


class EraseEvents(Protocol):
    """Erases a card from kept events."""

    def __call__(self, card_token: str, *, dry_run: bool) -> int: ...  # noqa: D102


class Erasure:
    """Erases cards.

    Args:
        alerts: the alert table.
        archive: the archive's objects.
        lake: its tables, and which hours are closed: a micro-batch that is tried again reads its objects, so open ones
            stay.
        progress: called with each line of progress.
        lists: the store of living lists; None where there is none.
        events: erases a card from what the decision service keeps of events, or counts only; gives how many.
    """

    def __init__(
        self,
        alerts: AlertTable,
        archive: Archive,
        lake: Lake,
        progress: Callable[[str], object],
        lists: ListStore | None = None,
        events: EraseEvents = lambda _token, *, dry_run: 0,  # noqa: ARG005 - as all of them
    ) -> None:
        self._alerts = alerts
        self._archive = archive
        self._lake = lake
        self._progress = progress
        self._lists = lists
        self._events = events

    def erase(self, card_token: str, *, dry_run: bool) -> Erased:
        """Erases a card, or counts what would be erased. Safe to repeat and to kill."""
        alerts = self._erase_alerts(card_token, dry_run)
        rows: dict[str, int] = {}
        objects = read = open_objects = 0
        for kind in ArchiveKind:
            found, touched, looked_at, waiting = self._erase_objects(kind, card_token, dry_run)
            if not dry_run:
                self._lake.read_objects_again(kind)
                self._erase_from_table(kind, card_token, looked_at)
                self._lake.forget(kind, card_token)
            rows[kind.value] = found
            objects, read, open_objects = objects + touched, read + len(looked_at), open_objects + waiting
        policies = self._erase_from_policies(card_token, dry_run)
        lists = 0 if self._lists is None else self._lists.erase(card_token, "fraud erase", dry_run=dry_run)
        events = self._events(card_token, dry_run=dry_run)
        return Erased(alerts, rows, objects, read, open_objects, policies, lists, events)

    def _erase_alerts(self, card_token: str, dry_run: bool) -> int:
        count = 0
        cursor: str | None = None
        while True:
            page = self._alerts.of_card(card_token, _PAGE, cursor)
            for item in page.items:
                count += 1
                if not dry_run:
                    self._alerts.delete(item["alert_id"])
            cursor = page.cursor
            if cursor is None:
                return count

    def _erase_from_table(self, kind: ArchiveKind, card_token: str, read: list[str]) -> None:
        """Takes the card out of a table, but for rows of objects that were not read: they came too late for it."""
        if kind is not ArchiveKind.DEAD_LETTERS:
            bears_it = f"card_token = {literal(card_token)}"
            if of_these := sorted(self._lake.objects(kind, bears_it) & set(read)):
                self._lake.delete(kind, f"{bears_it} AND object IN ({', '.join(map(literal, of_these))})")
            return
        dead_letters = self._lake.rows(kind, [*PLACE, "object", "data"])
        if not dead_letters.num_rows:
            return
        rows = dead_letters.select([*PLACE, "object"]).to_pylist()
        for row, bears in zip(rows, _bearing(kind, dead_letters, card_token).to_pylist(), strict=True):
            if bears and row["object"] in read:
                self._lake.delete(kind, " AND ".join(f"{name} = {literal(row[name])}" for name in PLACE))

    def _erase_from_policies(self, card_token: str, dry_run: bool) -> int:
        """Takes the card out of the lists of policies that decided something: who was on a list is personal data."""
        count = 0
        for key in self._archive.keys(POLICIES):
            files = PolicyBundle.from_bytes(self._archive.get(key) or b"{}").files
            kept = {name: without_token(text, card_token) for name, text in files.items()}
            if kept != files:
                count += 1
                if not dry_run:
                    self._archive.replace(key, PolicyBundle(kept).to_bytes())
        return count

    def _to_read(self, kind: ArchiveKind, closed: list[str], since: str, card_token: str) -> list[str]:
        """Which objects may bear the card: those that the kind's table says do, and those that it does not hold yet.

        Of dates before `since` it holds all, so that none of their many objects is listed.
        """
        # Before it is asked which name the card: what is folded in between is then read for nothing, and not left out.
        held = self._lake.objects(kind, f"date >= {literal(since)}")
        if kind is ArchiveKind.DEAD_LETTERS:
            rows = self._lake.rows(kind, ["object", "data"])
            bearing = set()
            if rows.num_rows:
                found = _bearing(kind, rows, card_token).to_pylist()
                bearing = {key for key, bears in zip(rows["object"].to_pylist(), found, strict=True) if bears}
        else:
            bearing = self._lake.objects(kind, f"card_token = {literal(card_token)}")
        # What a table names is closed, also where it was stored after the others were listed.
        return sorted(bearing | {key for key in closed if key not in held})

    def _erase_objects(self, kind: ArchiveKind, card_token: str, dry_run: bool) -> tuple[int, int, list[str], int]:
        """Takes the card out of objects: how many rows, of how many objects; which were read; how many are open."""
        since = self._lake.settled(kind)
        closed = [key for keys in self._lake.closed_hours(kind, since, expired=True).values() for key in keys]
        read = self._to_read(kind, closed, since, card_token)
        rows = objects = 0
        for number, key in enumerate(read, 1):
            try:
                table = self._archive.read_stored(key)  # with whatever else an older or newer writer left
            except FileNotFoundError:
                continue  # it has expired, and its rows are in the table alone
            column = "data" if kind is ArchiveKind.DEAD_LETTERS else "card_token"
            bearing = _bearing(kind, conform(table, today(kind, [column]), key), card_token)
            found = int(pc.sum(bearing).as_py() or 0)
            if found:
                rows, objects = rows + found, objects + 1
                if not dry_run:
                    # First, and with the same content however often: what was read must add up with what is kept, and a
                    # job that repeats the batch must not decide again what it lacks.
                    mark = hashlib.sha256(f"{key} {card_token}".encode()).hexdigest()[:16]
                    gone = places(table.filter(bearing)).to_pylist()
                    note = json.dumps({"object": key, "rows": found, "places": gone}).encode()
                    self._archive.put_new(erased_key(key, mark), note)
                    self._archive.replace_table(key, table.filter(pc.invert(bearing)))
            if number % _REPORT_EVERY == 0:
                self._progress(f"{kind.value}: {number:,} of {len(read):,} objects, {rows:,} rows found")
        there = sum(1 for _ in self._archive.keys(kind.prefix, first_key(kind, since)))
        return rows, objects, read, there - len(closed)


def _bearing(kind: ArchiveKind, table: pa.Table, card_token: str) -> pa.ChunkedArray:
    """Which rows bear the token: by its column, or anywhere in the bytes of a refused record."""
    if kind is ArchiveKind.DEAD_LETTERS:
        return pa.chunked_array(
            [[names_token(data or b"", card_token) for data in table["data"].to_pylist()]], pa.bool_()
        )
    return pc.fill_null(pc.equal(table["card_token"], card_token), False)
