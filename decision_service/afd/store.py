"""Events as they were sent and predictions as they were made, by event: what the API gives back of them.

An index on the local disk. Journal, stream and archive hold the transactions and decisions.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fraud.records.token_search import names_token

_SCHEMA = """
create table if not exists events (
    event_type text, event_id text, record blob not null, label text, label_time text, received_ms integer not null,
    primary key (event_type, event_id)
) without rowid;
create index if not exists events_by_time on events (received_ms);
create table if not exists predictions (
    event_type text, event_id text, predicted_ms integer, record blob not null, answer blob not null,
    primary key (event_type, event_id, predicted_ms)
) without rowid;
create index if not exists predictions_by_time on predictions (predicted_ms);
create table if not exists deletions (event_type text primary key, events integer not null);
"""
_EXPIRE_EVERY = 1_000
_REMOVED_AT_ONCE = 2_000


class KeptEvent(NamedTuple):
    """An event.

    Attributes:
        record: its transaction, with all that it said under `event`.
        label: name of its label; None without one.
        label_time: when that became known, as it was sent.
    """

    record: bytes
    label: str | None
    label_time: str | None


class KeptPrediction(NamedTuple):
    """A prediction.

    Attributes:
        event_type: of the event.
        event_id: of the event.
        predicted_ms: when it was made, UTC milliseconds.
        record: the event's transaction.
        answer: as JSON, as it was answered.
    """

    event_type: str
    event_id: str
    predicted_ms: int
    record: bytes
    answer: bytes


class Store:
    """The index; its calls may come from any thread, one runs at a time.

    Args:
        file: of the index.
        keep_ms: how long an event or a prediction is kept.
    """

    def __init__(self, file: Path, keep_ms: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._keep_ms = keep_ms
        self._lock = threading.Lock()
        self._until_expiry = 0
        self._opened = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._opened.execute("pragma journal_mode=wal")
        self._opened.execute("pragma synchronous=normal")
        self._opened.executescript(_SCHEMA)

    def keep_event(self, event_type: str, event_id: str, record: bytes, now_ms: int) -> None:
        """Adds an event, in place of another of its id; its label stays."""
        with self._lock:
            self._add_event(event_type, event_id, record, now_ms)
            self._expire(now_ms, 1)

    def keep_predictions(self, made: Sequence[KeptPrediction], now_ms: int) -> None:
        """Adds predictions with their events, all or none; one that is there already stays."""
        with self._lock:
            self._opened.execute("begin")
            try:
                for each in made:
                    self._add_event(each.event_type, each.event_id, each.record, now_ms)
                self._opened.executemany("insert or ignore into predictions values (?, ?, ?, ?, ?)", made)
                self._opened.execute("commit")
            except sqlite3.Error:
                if self._opened.in_transaction:
                    self._opened.execute("rollback")
                raise
            self._expire(now_ms, len(made))

    def _add_event(self, event_type: str, event_id: str, record: bytes, now_ms: int) -> None:
        self._opened.execute(
            "insert into events values (?, ?, ?, null, null, ?) on conflict do update set record = excluded.record",
            (event_type, event_id, record, now_ms),
        )

    def label(self, event_type: str, event_id: str, label: str, label_time: str) -> None:
        """Notes the label of an event."""
        with self._lock:
            self._opened.execute(
                "update events set label = ?, label_time = ? where event_type = ? and event_id = ?",
                (label, label_time, event_type, event_id),
            )

    def event(self, event_type: str, event_id: str) -> KeptEvent | None:
        """An event; None where none is kept."""
        with self._lock:
            row = self._opened.execute(
                "select record, label, label_time from events where event_type = ? and event_id = ?",
                (event_type, event_id),
            ).fetchone()
        return None if row is None else KeptEvent(*row)

    def predictions(
        self,
        event_type: str | None,
        event_id: str | None,
        between_ms: tuple[int, int],
        begin: int,
        most: int,
    ) -> Sequence[KeptPrediction]:
        """Predictions, the newest first.

        Args:
            event_type: only of this type.
            event_id: only of this event.
            between_ms: made from the first of these times until the second.
            begin: how many are left out.
            most: of these.
        """
        query = (
            "select event_type, event_id, predicted_ms, record, answer from predictions "
            "where predicted_ms between ? and ? and coalesce(event_type = ?, true) and coalesce(event_id = ?, true) "
            "order by predicted_ms desc, event_type, event_id limit ? offset ?"
        )
        with self._lock:
            rows = self._opened.execute(query, (*between_ms, event_type, event_id, most, begin)).fetchall()
        return [KeptPrediction(*row) for row in rows]

    def delete(self, event_type: str, event_id: str, with_predictions: bool) -> None:
        """Removes an event, and its predictions where these are named too."""
        tables = ("events", "predictions") if with_predictions else ("events",)
        with self._lock:
            for table in tables:
                self._opened.execute(
                    f"delete from {table} where event_type = ? and event_id = ?", (event_type, event_id)
                )

    def delete_all(self, event_type: str) -> None:
        """Removes the events of a type."""
        with self._lock:
            self._opened.execute("begin")
            found = self._opened.execute("delete from events where event_type = ?", (event_type,))
            self._opened.execute("insert or replace into deletions values (?, ?)", (event_type, found.rowcount))
            self._opened.execute("commit")

    def erase(self, card_token: str, *, dry_run: bool) -> int:
        """Removes every event and prediction that names a card, from the file too; how many there were."""
        with self._lock:
            self._opened.create_function("names", 1, lambda data: names_token(data, card_token), deterministic=True)
            count = 0
            for table in ("events", "predictions"):
                where = f"from {table} where names(record)"
                count += self._opened.execute(f"select count(*) {where}").fetchone()[0]
                if not dry_run:
                    self._opened.execute("pragma secure_delete=on")
                    self._opened.execute(f"delete {where}")
            if not dry_run:
                self._opened.execute("pragma wal_checkpoint(truncate)")
        return count

    def was_deleted(self, event_type: str) -> bool:
        """Whether the events of a type were ever removed together."""
        with self._lock:
            row = self._opened.execute("select 1 from deletions where event_type = ?", (event_type,)).fetchone()
        return row is not None

    def close(self) -> None:
        """Ends."""
        with self._lock:
            self._opened.close()

    def _expire(self, now_ms: int, kept: int) -> None:
        self._until_expiry -= kept
        if self._until_expiry < 0:
            self._until_expiry = _EXPIRE_EVERY - 1
            for table, time in (("events", "received_ms"), ("predictions", "predicted_ms")):
                self._opened.execute(
                    f"delete from {table} where (event_type, event_id) in "
                    f"(select event_type, event_id from {table} where {time} < ? limit ?)",
                    (now_ms - self._keep_ms, _REMOVED_AT_ONCE),
                )
