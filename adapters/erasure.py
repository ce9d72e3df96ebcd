"""Erases a cardholder: every row that bears a card token, from alerts, archive and Delta tables.

What it cannot reach ends by itself: streams, keyed state, old versions of objects (docs/threat-model.md).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.lake import PLACE, Lake, literal
from fraud.archive_layout import ArchiveKind, erased_key
from fraud.settings import Settings

_PAGE = 100
_TELL_EVERY = 500


@dataclass(frozen=True)
class Erased:
    """What was found of a card, and erased unless it was only looked for.

    Attributes:
        alerts: items of the table of alerts.
        rows: rows of the archive by kind.
        objects: objects of the archive that were written anew.
        open_objects: objects that may still be written to, and were not looked at.
    """

    alerts: int
    rows: dict[str, int]
    objects: int
    open_objects: int


class Erasure:
    """Erases cards.

    Args:
        settings: where alerts and archive are.
        now: decides which hours are closed; a micro-batch that is tried again reads its objects, so open ones stay.
        grace: how long after its end an hour still takes objects.
        tell: is told the progress in lines.
    """

    def __init__(
        self, settings: Settings, now: dt.datetime, grace: dt.timedelta, tell: Callable[[str], object]
    ) -> None:
        self._alerts = AlertTable(settings)
        self._alerts.require()
        self._archive = Archive(settings)
        self._lake = Lake(settings, now, grace)
        self._tell = tell

    def erase(self, card_token: str, *, dry_run: bool) -> Erased:
        """Erases a card, or counts what would be erased. Safe to repeat and to kill."""
        alerts = self._erase_alerts(card_token, dry_run)
        rows: dict[str, int] = {}
        objects = open_objects = 0
        for kind in ArchiveKind:
            found, touched, waiting = self._erase_objects(kind, card_token, dry_run)
            if not dry_run:
                self._erase_from_table(kind, card_token)
            rows[kind.value] = found
            objects, open_objects = objects + touched, open_objects + waiting
        return Erased(alerts, rows, objects, open_objects)

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

    def _erase_from_table(self, kind: ArchiveKind, card_token: str) -> None:
        if kind is not ArchiveKind.DEAD_LETTERS:
            self._lake.delete(kind, f"card_token = {literal(card_token)}")
            return
        letters = self._lake.rows(kind, [*PLACE, "data"])
        if not letters.num_rows:
            return
        places = letters.select(list(PLACE)).to_pylist()
        for row, bears in zip(places, _bearing(kind, letters, card_token).to_pylist(), strict=True):
            if bears:
                self._lake.delete(kind, " AND ".join(f"{name} = {literal(row[name])}" for name in PLACE))

    def _erase_objects(self, kind: ArchiveKind, card_token: str, dry_run: bool) -> tuple[int, int, int]:
        closed = [key for keys in self._lake.closed_hours(kind).values() for key in keys]
        rows = objects = 0
        for number, key in enumerate(closed, 1):
            table = self._archive.read_table(key)
            bearing = _bearing(kind, table, card_token)
            found = int(pc.sum(bearing).as_py() or 0)
            if found:
                rows, objects = rows + found, objects + 1
                if not dry_run:
                    # First, and with the same content however often: what was read must add up with what is kept.
                    mark = hashlib.sha256(f"{key} {card_token}".encode()).hexdigest()[:16]
                    note = json.dumps({"object": key, "rows": found}).encode()
                    self._archive.put_new(erased_key(key, mark), note)
                    self._archive.replace_table(key, table.filter(pc.invert(bearing)))
            if number % _TELL_EVERY == 0:
                self._tell(f"{kind.value}: {number:,} of {len(closed):,} objects, {rows:,} rows found")
        return rows, objects, sum(1 for _ in self._archive.keys(kind.prefix)) - len(closed)


def _bearing(kind: ArchiveKind, table: pa.Table, card_token: str) -> pa.ChunkedArray:
    """Which rows bear the token: by its column, or anywhere in the bytes of a refused record."""
    if kind is ArchiveKind.DEAD_LETTERS:
        return pc.fill_null(pc.match_substring(pc.cast(table["data"], pa.binary()), card_token.encode()), False)
    return pc.fill_null(pc.equal(table["card_token"], card_token), False)
