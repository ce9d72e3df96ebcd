"""What rules found, summed up as the archive grows: figures of any span of days without reading a decision again.

Counted is what was decided: the rules, live or in shadow, that fired on each transaction when it was decided. Sums are
kept by UTC day of the transaction; of each transaction on which something fired, its rules are kept, so that a label
that comes weeks later finds them. The database is disposable: delete it and it is built again from the archive.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from adapters.archive.layout import ArchiveKind, kind_of_key
from fraud.backtest.labels import DAY_MS
from fraud.records.arrival import ARRIVAL_COLUMNS, arrival_order

log = structlog.get_logger()

_VERSION = 1

DECISION_COLUMNS = (
    "transaction_id",
    "card_token",
    "event_time",
    "billing_amount_minor",
    "outcome",
    "rules",
    "shadow_rules",
    "silenced_rules",
    "undefined_rules",
)
"""What is read of a decision."""

_LABEL = ("transaction_id", "card_token", "transaction_time", "transaction_time_precision_ms", "verdict")
LABEL_COLUMNS = (*_LABEL, *ARRIVAL_COLUMNS)
"""What is read of a label."""

_SUMS = ("fired", "undefined", "alone", "alerted", "fraud", "fraud_minor")
_SCHEMA = f"""
CREATE TABLE objects (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE days (day INTEGER PRIMARY KEY, decisions INTEGER, first_ms INTEGER, last_ms INTEGER);
CREATE TABLE sums (day INTEGER, rule TEXT, {", ".join(f"{name} INTEGER DEFAULT 0" for name in _SUMS)},
    PRIMARY KEY (day, rule)) WITHOUT ROWID;
CREATE TABLE pairs (day INTEGER, rule TEXT, other TEXT, together INTEGER, PRIMARY KEY (day, rule, other)) WITHOUT ROWID;
CREATE TABLE hits (transaction_id TEXT, card_token TEXT, event_ms INTEGER, amount_minor INTEGER, rules TEXT,
    fraud INTEGER, PRIMARY KEY (transaction_id, card_token, event_ms)) WITHOUT ROWID;
CREATE TABLE verdicts (transaction_id TEXT, card_token TEXT, since_ms INTEGER, until_ms INTEGER, fraud INTEGER,
    PRIMARY KEY (transaction_id, card_token, since_ms)) WITHOUT ROWID;
CREATE INDEX hits_by_time ON hits (event_ms);
CREATE INDEX verdicts_by_time ON verdicts (since_ms);
"""


NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("fired", "undefined", "alone", "already_alerted", "mature", "fraud", "fraud_minor"), 0),
    "nearest_rule": None,
    "overlap": 0.0,
    "precision": None,
}
"""The figures of a rule that found nothing."""


class RuleFigures(NamedTuple):
    """What rules found within some days.

    Attributes:
        decisions: in these days.
        mature: of these, old enough to be evaluated.
        first_ms: of their transactions' times; None without any.
        last_ms: the latest.
        rules: by rule, as a backtest has them: hits (of these alone, alerted, mature), fraud among the mature ones, and
            the rule that it overlaps most.
    """

    decisions: int
    mature: int
    first_ms: int | None
    last_ms: int | None
    rules: Mapping[str, Mapping[str, Any]]


class RuleSums:
    """The sums in a folder. One writes, any number of threads read.

    Args:
        folder: where its file lies; made if it is missing. A file of another version, or a damaged one, is replaced.
        days: how many it remembers, up to the newest decision.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self._days = days
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "rules.db"
        self._lock = threading.Lock()
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            database = _connect(self._file)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == _VERSION:
                database.execute("SELECT count(*) FROM days").fetchone()
                return database
            database.close()
        except sqlite3.OperationalError:  # locked, or no room: nothing is wrong with it
            raise
        except sqlite3.DatabaseError as error:
            log.warning("rule_sums_damaged", file=str(self._file), problem=str(error))
        for name in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + name).unlink(missing_ok=True)
        database = _connect(self._file)
        database.executescript(f"PRAGMA journal_mode=WAL; {_SCHEMA} PRAGMA user_version={_VERSION};")
        return database

    def holds(self, key: str) -> bool:
        """Whether an object was taken over."""
        with self._lock:
            return self._holds(key)

    def _holds(self, key: str) -> bool:
        return self._database.execute("SELECT 1 FROM objects WHERE key = ?", (key,)).fetchone() is not None

    def last_key(self, prefix: str) -> str | None:
        """The last key below a prefix that was taken over."""
        with self._lock:
            found = self._database.execute(
                "SELECT max(key) FROM objects WHERE key >= ? AND key < ?", (prefix, prefix + "\x7f")
            )
            last: str | None = found.fetchone()[0]
            return last

    def add(self, key: str, table: pa.Table) -> bool:
        """Takes over an object, of decisions or labels, in one step; False where it was there already.

        A label of a decision that comes later waits for it.
        """
        take = {ArchiveKind.DECISIONS: self._add_decisions, ArchiveKind.LABELS: self._add_labels}[kind_of_key(key)]
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if self._holds(key):
                return False
            take(table)
            self._database.execute("INSERT INTO objects VALUES (?)", (key,))
        return True

    def forget(self, before_key: str) -> int:
        """Forgets the objects of a kind whose keys lie before one, and days that are too old."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            kind = kind_of_key(before_key).prefix
            gone = self._database.execute("DELETE FROM objects WHERE key >= ? AND key < ?", (kind, before_key)).rowcount
            (last,) = self._database.execute("SELECT coalesce(max(day), 0) FROM days").fetchone()
            kept = last - self._days
            for name in ("days", "sums", "pairs"):
                self._database.execute(f"DELETE FROM {name} WHERE day < ?", (kept,))
            self._database.execute("DELETE FROM hits WHERE event_ms < ?", (kept * DAY_MS,))
            self._database.execute("DELETE FROM verdicts WHERE since_ms < ?", (kept * DAY_MS,))
        return gone

    def figures(self, days: int, maturity_days: float) -> RuleFigures:
        """What rules found in the last days up to the newest decision.

        Args:
            days: to look back.
            maturity_days: age in days from which a transaction is evaluated; a day counts when all of it is that old;
                0 is any age.
        """
        with self._lock:
            (last_day, newest) = self._database.execute("SELECT max(day), max(last_ms) FROM days").fetchone()
            if last_day is None:
                return RuleFigures(0, 0, None, None, {})
            since = last_day - days
            mature = last_day if not maturity_days else int((newest - maturity_days * DAY_MS) // DAY_MS) - 1
            inside = (mature, since)
            decisions, old, first, last = self._database.execute(
                "SELECT sum(decisions), sum(decisions * (day <= ?)), min(first_ms), max(last_ms) FROM days"
                " WHERE day > ?",
                inside,
            ).fetchone()
            sums = self._database.execute(
                "SELECT rule, sum(fired), sum(undefined), sum(alone), sum(alerted), sum(fired * evaluated),"
                " sum(fraud * evaluated), sum(fraud_minor * evaluated)"
                " FROM (SELECT *, day <= ? AS evaluated FROM sums WHERE day > ?) GROUP BY rule",
                inside,
            ).fetchall()
            pairs = self._database.execute(
                "SELECT rule, other, sum(together) FROM pairs WHERE day > ? GROUP BY rule, other", (since,)
            ).fetchall()
        return RuleFigures(decisions, old, first, last, _rows(sums, pairs))

    def _add_decisions(self, table: pa.Table) -> None:
        event_ms = table["event_time"].cast(pa.int64())
        for day, times in _by_day(event_ms.to_pylist()).items():
            self._database.execute(
                "INSERT INTO days VALUES (?, ?, ?, ?) ON CONFLICT (day) DO UPDATE SET"
                " decisions = decisions + excluded.decisions,"
                " first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)",
                (day, len(times), min(times), max(times)),
            )
        named = ("rules", "shadow_rules", "silenced_rules", "undefined_rules")
        some = _any_of([table[name] for name in named])
        sums: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        pairs: Counter[tuple[int, str, str]] = Counter()
        for row in table.append_column("event_ms", event_ms).filter(some).to_pylist():
            self._count(row, sums, pairs)
        self._put(sums)
        self._database.executemany(
            "INSERT INTO pairs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET together = together + excluded.together",
            [(*pair, count) for pair, count in pairs.items()],
        )

    def _count(
        self,
        row: dict[str, Any],
        sums: dict[tuple[int, str], Counter[str]],
        pairs: Counter[tuple[int, str, str]],
    ) -> None:
        day = row["event_ms"] // DAY_MS
        for rule in row["undefined_rules"] or ():
            sums[day, rule]["undefined"] += 1
        fired = sorted({*(row["rules"] or ()), *(row["shadow_rules"] or ()), *(row["silenced_rules"] or ())})
        if not fired:
            return
        subject = (row["transaction_id"], row["card_token"], row["event_ms"])
        known = self._database.execute(
            "SELECT fraud FROM verdicts WHERE transaction_id = ? AND card_token = ? AND since_ms <= ? AND until_ms > ?",
            (*subject, row["event_ms"]),
        ).fetchone()
        fraud = bool(known and known[0])
        amount = row["billing_amount_minor"] or 0
        new = self._database.execute(
            "INSERT OR IGNORE INTO hits VALUES (?, ?, ?, ?, ?, ?)", (*subject, amount, json.dumps(fired), fraud)
        ).rowcount
        if not new:  # the same record was decided again
            return
        for rule in fired:
            sums[day, rule].update(
                fired=1,
                alone=len(fired) == 1,
                alerted=row["outcome"] != "approve",
                fraud=fraud,
                fraud_minor=fraud * amount,
            )
        pairs.update((day, *pair) for pair in combinations(fired, 2))

    def _add_labels(self, table: pa.Table) -> None:
        sums: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        for row in table.take(arrival_order(table)).to_pylist():
            since_ms = round(row["transaction_time"].timestamp() * 1000)
            until_ms = since_ms + (row["transaction_time_precision_ms"] or 1)
            fraud = row["verdict"] == "fraud"
            of = (row["transaction_id"], row["card_token"])
            verdict = (*of, since_ms, until_ms, fraud)
            self._database.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", verdict)
            found = self._database.execute(
                "SELECT event_ms, amount_minor, rules, fraud FROM hits"
                " WHERE transaction_id = ? AND card_token = ? AND event_ms >= ? AND event_ms < ?",
                (*of, since_ms, until_ms),
            ).fetchall()
            if len(found) != 1 or bool(found[0][3]) == fraud:  # of several it is none, as in the features
                continue
            event_ms, amount, rules, _ = found[0]
            change = 1 if fraud else -1
            self._database.execute(
                "UPDATE hits SET fraud = ? WHERE transaction_id = ? AND card_token = ? AND event_ms = ?",
                (fraud, *of, event_ms),
            )
            for rule in json.loads(rules):
                sums[event_ms // DAY_MS, rule].update(fraud=change, fraud_minor=change * amount)
        self._put(sums)

    def _put(self, sums: Mapping[tuple[int, str], Counter[str]]) -> None:
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
        self._database.executemany(
            f"INSERT INTO sums VALUES (?, ?, {', '.join('?' * len(_SUMS))}) ON CONFLICT DO UPDATE SET {added}",
            [(*place, *(counts[name] for name in _SUMS)) for place, counts in sums.items()],
        )


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=30.0, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA synchronous=NORMAL")
    return database


def _by_day(times_ms: Sequence[int]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for time_ms in times_ms:
        found[time_ms // DAY_MS].append(time_ms)
    return found


def _any_of(lists: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Which rows have something in any of these columns of lists."""
    filled = [pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0) for column in lists]
    return reduce(pc.or_, filled)


def _rows(
    sums: Sequence[tuple[str, int, int, int, int, int, int, int]], pairs: Sequence[tuple[str, str, int]]
) -> dict[str, dict[str, Any]]:
    rows = {rule: dict(NOTHING) | dict(zip(NOTHING, counts, strict=False)) for rule, *counts in sums}
    together: dict[str, Counter[str]] = defaultdict(Counter)
    for rule, other, count in pairs:
        together[rule][other] += count
        together[other][rule] += count
    for rule, row in rows.items():
        nearest, count = next(iter(together[rule].most_common(1)), (None, 0))
        row |= {"nearest_rule": nearest, "overlap": count / row["fired"] if row["fired"] else 0.0}
        row["precision"] = row["fraud"] / row["mature"] if row["mature"] else None
    return rows
