"""The queue: alerts that wait and their cases, ordered and filtered in memory, read from the table where shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

from adapters.alerts.alert import LABEL_PENDING, Item, subject_of
from adapters.alerts.pages import CursorError, Span
from console.access import Role, User
from console.services.alerts import Worked, shown
from console.services.grouping import CASE_FIELDS, CaseBy, case_key_of
from fraud.backtest.costs import CostSheet
from fraud.backtest.worth import worth_of
from fraud.decision.key import Subject

Order = Literal["riskiest", "newest", "oldest"]

_WORTH = {"worth_outcome": "outcome", "worth_must": "must", "worth_minor": "prevented_minor", "severity": "severity"}
"""Columns by which the queue orders what is to be looked at first, with what they hold of `fraud.backtest.worth`."""

_ORDERS: dict[str, tuple[str, ...]] = {
    "newest": ("decided_ms",),
    "riskiest": tuple(_WORTH),
    "oldest": ("-decided_ms",),
}
"""What each order sorts by, all falling; a digest of the key decides ties."""

_COSTS = CostSheet()
"""Stated costs, as the Rules page and a backtest without a cost sheet of its own have them."""

_PLAIN = ("transaction_id", "card_token", "merchant_id", "merchant_country", "channel", "outcome", "status")
_NUMBERS = ("version", "decided_ms", "event_ms", "severity", "billing_amount_minor")
_OF_CASE = tuple(name for name in CASE_FIELDS if name not in (*_PLAIN, *_NUMBERS))
ATTRIBUTES = ("alert_id", *_PLAIN, *_NUMBERS, "score", "assignee", "rules", "tags", "snoozed_until_ms", *_OF_CASE)
"""What of an alert is kept."""

LISTED = (*ATTRIBUTES, "amount_minor", "currency", "reasons")
"""Fields of an alert that the queue's page shows; its case shows the rest."""

_COLUMNS = (*ATTRIBUTES, *(column for column in _WORTH if column not in ATTRIBUTES), "digest", "key", "case_key")
_SUBJECT = ", ".join(Subject._fields)
_FACETS = {"outcome": "outcome", "country": "merchant_country", "channel": "channel", "assignee": "assignee"}
_NEAR_MS, _FAR_MS = 15_000, 300_000
"""How far back an incremental turn reads: alerts appear in the table some time after they were decided."""


class AlertSource(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def each(self, status: str, span: Span = ..., attributes: Sequence[str] = ...) -> Iterator[Item]: ...  # noqa: D102

    def get_many(self, alert_ids: Sequence[str], attributes: Sequence[str] = ...) -> list[Item]: ...  # noqa: D102


@dataclass(frozen=True)
class Filters:
    """Which alerts; None and empty ask for nothing.

    Attributes:
        status: open or escalated; None means both.
        outcome: any of these.
        min_score: calibrated probability of fraud, from 0 to 1.
        min_minor: billing amount in minor units of the base currency.
        max_minor: the same.
        country: of the merchant, any of these.
        channel: any of these.
        rule: one that fired.
        assignee: a user's name; empty text means nobody.
        older_than_ms: age since the decision.
        search: a transaction, decision key, merchant or card, exactly.
        tag: one that it has.
        snoozed: those that are snoozed, in place of those that are not.
    """

    status: Worked | None = None
    outcome: tuple[str, ...] = ()
    min_score: float | None = None
    min_minor: int | None = None
    max_minor: int | None = None
    country: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    rule: str | None = None
    assignee: str | None = None
    older_than_ms: int | None = None
    search: str | None = None
    tag: str | None = None
    snoozed: bool = False


class QueuePage(NamedTuple):
    """Some alerts of the queue.

    Attributes:
        alerts: as they stand in the table now, with the loss that a look at each is expected to prevent.
        cursor: give it back to read on; None after the last.
        matching: how many the filters let through, as of the last refresh.
        as_of_ms: when the queue was last refreshed; None before the first time.
        complete: whether all alerts were read since the start.
    """

    alerts: list[Item]
    cursor: str | None
    matching: int
    as_of_ms: int | None
    complete: bool


CASE_ALERTS = 100
"""Most waiting alerts of a case that the queue shows and a verdict on the case closes, the newest."""


class CasePage(NamedTuple):
    """Some cases of the queue.

    Attributes:
        cases: each with its waiting alerts as they stand in the table now, the newest first. `lead` is the one that
            the filters let through and the order puts first; `alerts` counts all that wait.
        cursor: give it back to read on; None after the last.
        matching: how many cases have an alert that the filters let through, as of the last refresh.
        alerts: how many such alerts.
        as_of_ms: see `QueuePage`.
        complete: see `QueuePage`.
    """

    cases: list[Item]
    cursor: str | None
    matching: int
    alerts: int
    as_of_ms: int | None
    complete: bool


class Queue:
    """The open and escalated alerts of a table.

    What the page orders and filters by is kept in memory (SQLite) and follows the table by `refresh`. So an alert may
    show up late; but those shown are read from the table for each answer, and a change wins by its version there.

    Args:
        source: the table.
        clock: milliseconds since the epoch.
        case_by: whose alerts of one day are a case.
    """

    def __init__(self, source: AlertSource, clock: Callable[[], int], case_by: CaseBy = "card") -> None:
        self._source = source
        self._case_by = case_by
        self._clock = clock
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            f"CREATE TABLE alerts (alert_id TEXT PRIMARY KEY, {', '.join(_COLUMNS[1:])}, seen INTEGER) WITHOUT ROWID"
        )
        for name, terms in _ORDERS.items():
            self._db.execute(f"CREATE INDEX by_{name} ON alerts ({', '.join(terms)}, digest)")
        for column in ("key", "case_key", "transaction_id", *_FACETS.values(), "rules"):
            self._db.execute(f"CREATE INDEX of_{column} ON alerts ({column})")
        self._turn = 0
        self._latest_ms = 0
        self._complete = False
        self._as_of_ms: int | None = None

    def reload(self) -> None:
        """Reads all again and forgets what is no longer open: changes by others, and alerts that came very late."""
        self._turn += 1
        began = self._turn
        for status in (*get_args(Worked), LABEL_PENDING):  # the label of a reopened alert may be due
            self._take(self._source.each(status, attributes=ATTRIBUTES))
        with self._lock:
            self._db.execute("DELETE FROM alerts WHERE seen < ?", (began,))
            self._complete = True
            self._as_of_ms = self._clock()

    def refresh(self, *, far: bool = False) -> None:
        """Reads the alerts decided lately; `far` looks further back, for those that came late."""
        now = self._clock()
        since = max(0, (self._latest_ms or now) - (_FAR_MS if far else _NEAR_MS))
        self._take(self._source.each("open", Span(since_ms=since), ATTRIBUTES))
        if far:
            self._take(self._source.each(LABEL_PENDING, attributes=ATTRIBUTES))
        with self._lock:
            self._as_of_ms = now

    def note(self, item: Item) -> None:
        """Takes over an alert as a change left it."""
        with self._lock:
            self._put([item])

    def of_key(self, key: str) -> Subject | None:
        """The decision of a waiting alert."""
        return next(iter(self._subjects("key", key)), None)

    def of_transaction(self, transaction_id: str) -> list[Subject]:
        """The decisions of all waiting alerts with a transaction id."""
        return self._subjects("transaction_id", transaction_id)

    def _subjects(self, column: str, value: str) -> list[Subject]:
        with self._lock:
            rows = self._db.execute(f"SELECT {_SUBJECT} FROM alerts WHERE {column} = ?", (value,)).fetchall()
        return [Subject(*row) for row in rows]

    def page(self, user: User, filters: Filters, order: Order, limit: int, cursor: str | None) -> QueuePage:
        """Alerts in an order, after a cursor.

        Raises:
            CursorError: the cursor is not one of this order.
        """
        terms = (*_ORDERS[order], "digest")
        conditions, values = _conditions(filters, user, self._clock())
        where = " AND ".join(conditions) or "1"
        after, place = "1", list[Any]()
        if cursor is not None:
            after = f"({', '.join(terms)}) < ({', '.join('?' * len(terms))})"
            place = _place(cursor, order, len(terms))
        falling = ", ".join(f"{term} DESC" for term in terms)
        with self._lock:
            (matching,) = self._db.execute(f"SELECT count(*) FROM alerts WHERE {where}", values).fetchone()
            rows = self._db.execute(
                f"SELECT alert_id, {', '.join(terms)} FROM alerts WHERE {where} AND {after} ORDER BY {falling} LIMIT ?",
                [*values, *place, limit + 1],
            ).fetchall()
            as_of, complete = self._as_of_ms, self._complete
        page = rows[:limit]
        more = _cursor(order, page[-1][1:]) if len(rows) > limit else None
        alerts = self._current([str(row[0]) for row in page], filters.status)
        shown_now = [shown(item, user) | {"prevented_minor": worth_of(_COSTS, item).prevented_minor} for item in alerts]
        return QueuePage(shown_now, more, matching, as_of, complete)

    def cases(self, user: User, filters: Filters, order: Order, limit: int, cursor: str | None) -> CasePage:
        """Cases by their first alert in an order, after a cursor.

        Raises:
            CursorError: the cursor is not one of this order.
        """
        terms = (*_ORDERS[order], "digest")
        conditions, values = _conditions(filters, user, self._clock())
        where = " AND ".join(conditions) or "1"
        own, other = (f"({', '.join(_in(table, term) for term in terms)})" for table in ("alerts", "other"))
        after, place = "1", list[Any]()
        if cursor is not None:
            after = f"{own} < ({', '.join('?' * len(terms))})"
            place = _place(cursor, order, len(terms))
        falling = ", ".join(f"{_in('alerts', term)} DESC" for term in terms)
        columns = ", ".join(_in("alerts", term) for term in terms)
        with self._lock:
            matching, alerts = self._db.execute(
                f"SELECT count(DISTINCT case_key), count(*) FROM alerts WHERE {where}", values
            ).fetchone()
            # Inside, a plain name is a column of `other`: the case has no alert that comes before this one. The indexes
            # are named, since by its own guess SQLite reads all alerts of a status or outcome for each one.
            rows = self._db.execute(
                f"SELECT alert_id, case_key, {columns} FROM alerts INDEXED BY by_{order}"
                f" WHERE {where} AND {after} AND NOT EXISTS ("
                f"SELECT 1 FROM alerts AS other INDEXED BY of_case_key"
                f" WHERE other.case_key = alerts.case_key AND {where} AND {other} > {own})"
                f" ORDER BY {falling} LIMIT ?",
                [*values, *place, *values, limit + 1],
            ).fetchall()
            as_of, complete = self._as_of_ms, self._complete
            members = {row[1]: self._members(row[1]) for row in rows[:limit]}
        page = rows[:limit]
        more = _cursor(order, page[-1][2:]) if len(rows) > limit else None
        newest = {alert_id: None for lead, case, *_ in page for alert_id in (lead, *members[case][:CASE_ALERTS])}
        current = {item["alert_id"]: item for item in self._current(list(newest), None)}
        cases = [_case(user, case, lead, members[case], current) for lead, case, *_ in page]
        return CasePage([case for case in cases if case is not None], more, matching, alerts, as_of, complete)

    def _members(self, case: str) -> list[str]:
        found = self._db.execute("SELECT alert_id FROM alerts WHERE case_key = ? ORDER BY decided_ms DESC", (case,))
        return [alert_id for (alert_id,) in found]

    def of_case(self, case: str) -> list[Subject]:
        """The decisions of a case's waiting alerts."""
        return self._subjects("case_key", case)

    def facets(self) -> dict[str, dict[str, int]]:
        """For each filter its values, with how many waiting alerts have them."""
        with self._lock:
            found = {
                name: dict(
                    self._db.execute(
                        f"SELECT {column}, count(*) FROM alerts WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
                    ).fetchall()
                )
                for name, column in _FACETS.items()
            }
            packed = {
                name: self._db.execute(f"SELECT {column}, count(*) FROM alerts GROUP BY 1").fetchall()
                for name, column in (("rule", "rules"), ("tag", "tags"))
            }
        for name, rows in packed.items():
            counts = Counter[str]()
            for values, count in rows:
                counts.update(dict.fromkeys(json.loads(values), count))
            found[name] = dict(sorted(counts.items()))
        return found

    def _current(self, keys: list[str], status: Worked | None) -> list[Item]:
        """The alerts as they stand in the table, in the given order, without those that left the queue."""
        current = {item["alert_id"]: item for item in self._source.get_many(keys, LISTED)}
        with self._lock:
            self._put(current.values())
            self._db.executemany(
                "DELETE FROM alerts WHERE alert_id = ?", [(key,) for key in keys if key not in current]
            )
        statuses = get_args(Worked) if status is None else (status,)
        return [current[key] for key in keys if key in current and current[key]["status"] in statuses]

    def _take(self, items: Iterable[Item]) -> None:
        batch: list[Item] = []
        for item in items:
            batch.append(item)
            if len(batch) == 1_000:
                with self._lock:
                    self._put(batch)
                batch = []
        with self._lock:
            self._put(batch)

    def _put(self, items: Iterable[Item]) -> None:
        """Takes over alerts unless a later version is known; forgets those that are closed."""
        waiting: list[Item] = []
        gone: list[Item] = []
        for item in items:
            (waiting if item["status"] in get_args(Worked) else gone).append(item)
        self._latest_ms = max([self._latest_ms, *(item["decided_ms"] for item in waiting)])
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        later = "excluded.version >= alerts.version"
        sets = ", ".join(f"{n} = CASE WHEN {later} THEN excluded.{n} ELSE alerts.{n} END" for n in _COLUMNS[1:])
        self._db.executemany(
            f"INSERT INTO alerts VALUES ({marks}) ON CONFLICT (alert_id) DO UPDATE SET seen = excluded.seen, {sets}",
            [(*_kept(item, self._case_by), self._turn) for item in waiting],
        )
        self._db.executemany("DELETE FROM alerts WHERE alert_id = ?", [(item["alert_id"],) for item in gone])


def _case(user: User, case: str, lead: str, members: Sequence[str], current: dict[str, Item]) -> Item | None:
    """A case with its alerts as they stand now; None where none of those read waits any more."""
    waiting = sorted((current[one] for one in {lead, *members} if one in current), key=lambda one: -one["decided_ms"])
    if not waiting:
        return None
    worth = [worth_of(_COSTS, item).prevented_minor for item in waiting]
    return {
        "case": case,
        "lead": shown(current.get(lead, waiting[0]), user),
        "waiting": [shown(item, user) for item in waiting],
        "alerts": max(len(waiting), len(members) - sum(one not in current for one in members[:CASE_ALERTS])),
        "billing_minor": sum(item["billing_amount_minor"] for item in waiting),
        "prevented_minor": max(worth),
        "oldest_ms": waiting[-1]["decided_ms"],
        "newest_ms": waiting[0]["decided_ms"],
        "assignees": sorted({item["assignee"] for item in waiting if "assignee" in item}),
    }


def _in(table: str, term: str) -> str:
    """A term of an order as one of a table."""
    return f"-{table}.{term[1:]}" if term.startswith("-") else f"{table}.{term}"


def _kept(item: Item, case_by: CaseBy) -> tuple[Any, ...]:
    """The columns of an alert; the score of one that rules alone scored lies below all that a model gave."""
    worth = worth_of(_COSTS, item)
    digest = hashlib.sha256(item["alert_id"].encode()).hexdigest()[:12]
    packed = item | {
        "rules": json.dumps(item["rules"]),
        "tags": json.dumps(item.get("tags", [])),
        "score": item.get("score", -1.0),
        "digest": digest,
    }
    packed |= {column: getattr(worth, of) for column, of in _WORTH.items()}
    packed["key"] = subject_of(item).key
    packed["case_key"] = case_key_of(item, case_by)
    return tuple(packed.get(name) for name in _COLUMNS)


def _conditions(filters: Filters, user: User, now_ms: int) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []

    def require(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    if filters.status is not None:
        require("status = ?", filters.status)
    for column, wanted in (
        ("outcome", filters.outcome),
        ("merchant_country", filters.country),
        ("channel", filters.channel),
    ):
        if wanted:
            require(f"{column} IN ({', '.join('?' * len(wanted))})", *wanted)
    for condition, bound in (
        ("score >= ?", filters.min_score),
        ("billing_amount_minor >= ?", filters.min_minor),
        ("billing_amount_minor <= ?", filters.max_minor),
        ("decided_ms <= ?", None if filters.older_than_ms is None else now_ms - filters.older_than_ms),
    ):
        if bound is not None:
            require(condition, bound)
    require("coalesce(snoozed_until_ms, 0) " + ("> ?" if filters.snoozed else "<= ?"), now_ms)
    if filters.tag is not None:
        require("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", filters.tag)
    if filters.rule is not None:
        require("EXISTS (SELECT 1 FROM json_each(rules) WHERE value = ?)", filters.rule)
    if filters.assignee is not None:
        require("coalesce(assignee, '') = ?", filters.assignee)
    if filters.search is not None:
        columns = ["transaction_id", "key", "merchant_id"] + ["card_token"] * (user.role >= Role.ANALYST)
        require("? IN (" + ", ".join(columns) + ")", filters.search)
    return conditions, values


def _cursor(order: Order, place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([order, *place]).encode()).decode().rstrip("=")


def _place(cursor: str, order: Order, length: int) -> list[Any]:
    try:
        cursor_order, *place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        *numbers, digest = place
        if cursor_order == order and len(place) == length and isinstance(digest, str):
            return [*map(_number, numbers), digest]
    except (ValueError, TypeError, binascii.Error):
        pass
    raise CursorError("not a cursor of this order; begin without one")


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53:
        raise TypeError(value)
    return value
