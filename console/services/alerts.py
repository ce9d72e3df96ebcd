"""Work on alerts: take, annotate, escalate, dispose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol, get_args

import pyarrow as pa
import structlog

from adapters.alerts.alert import LABEL_PENDING, AlertUpdate, Item, subject_of
from adapters.alerts.pages import AlertPage, Span
from console.access import Role, User
from console.errors import ConflictError, NotFoundError
from fraud.decision.key import Subject, is_key
from fraud.decision.reasons import source_of
from fraud.errors import FraudError, ServiceError
from fraud.records.encode import encode
from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import milliseconds_of, time_of

log = structlog.get_logger()

Worked = Literal["open", "escalated"]
Closed = Literal["confirmed_fraud", "false_positive"]
Change = Literal["assign", "release", "note", "escalate", "confirm_fraud", "false_positive"]

MAX_NOTE = 1_000
MAX_CHANGES = 90
"""Most entries of an alert's history: an item of DynamoDB holds 400 KB, a note of four-byte characters 4 KB."""

SETTLE_MS = 15_000
"""Age from which a pending label is taken up by `deliver`: until then whoever closed the alert is writing it."""

_VERDICTS = {"confirm_fraud": ("confirmed_fraud", "fraud"), "false_positive": ("false_positive", "legitimate")}
_UNSEEN = {"alert_id", "status_shard", "day_shard", "expires_at"}
_CONCURRENT_CHANGES = 8


class AlertStore(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def get(self, alert_id: str) -> Item | None: ...  # noqa: D102

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]: ...  # noqa: D102

    def newest(self, status: str, limit: int, cursor: str | None = None) -> AlertPage: ...  # noqa: D102

    def each(self, status: str, span: Span = ..., attributes: Sequence[str] = ...) -> Iterator[Item]: ...  # noqa: D102

    def update(self, alert_id: str, version: int, update: AlertUpdate) -> bool: ...  # noqa: D102

    def label_written(self, alert_id: str, status: str) -> bool: ...  # noqa: D102


class AlertDesk:
    """The desk where alerts are worked. An alert is known by its decision key, never by its transaction id alone.

    Args:
        table: the alerts.
        locate: the decision of a key, for alerts that stand under their former id; None where it is not known.
        write_label: puts a label on the labels stream, given its key (the card) and bytes.
        clock: aware UTC time.
        audit: called with who did what to which alert, by its key, after it was done.
        changed: called with every alert as a change left it.
    """

    def __init__(
        self,
        table: AlertStore,
        locate: Callable[[str], Subject | None],
        write_label: Callable[[str, bytes], None],
        clock: Callable[[], dt.datetime],
        audit: Callable[[str, str, str], None],
        changed: Callable[[Item], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._locate = locate
        self._write_label = write_label
        self._clock = clock
        self._audit = audit
        self._changed = changed
        self._pool = ThreadPoolExecutor(_CONCURRENT_CHANGES, thread_name_prefix="changes")

    def get(self, user: User, key: str) -> Item:
        """One alert, as the user may see it.

        Raises:
            NotFoundError: there is none.
        """
        return shown(self.read(key), user)

    def read(self, key: str) -> Item:
        """One alert as it is stored.

        Raises:
            NotFoundError: there is none.
        """
        item = (self._table.get(key) or self._former(key)) if is_key(key) else None
        if item is None:
            raise NotFoundError("there is no alert on this decision")
        return item

    def _former(self, key: str) -> Item | None:
        subject = self._locate(key)
        return None if subject is None else next(iter(self._table.of_decisions([subject])), None)

    def closed(self, user: User, status: Closed, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
        """Alerts that were disposed of, newest decision first.

        Raises:
            CursorError: the cursor is not one.
        """
        page = self._table.newest(status, limit, cursor)
        return [shown(item, user) for item in page.items], page.cursor

    def change(self, user: User, key: str, version: int, change: Change, note: str | None = None) -> Item:
        """Changes an alert; a disposition also writes its label.

        Status, history and a mark that the label is to be written change in one step, which only one change of a
        version can win. Then the label is written and the mark taken away. Where that fails, or the process ends in
        between, `deliver` writes the same label later.

        Returns:
            The alert as it is now.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is no such alert.
            ConflictError: it has another version by now, or is closed.
        """
        return shown(self._change(user, key, version, change, note), user)

    def _change(self, user: User, key: str, version: int, change: Change, note: str | None) -> Item:
        user.require(Role.ANALYST)
        before = self.read(key)
        if before["version"] != version:
            raise _overtaken(before)
        if before["status"] in get_args(Closed) and change != "note":
            raise ConflictError(f"the alert is closed: {before['status'].replace('_', ' ')}")
        if version > MAX_CHANGES and change not in _VERDICTS:
            raise ConflictError("the alert's history is full; only confirm fraud and false positive are left")
        update = self._update(user, before, change, note)
        if not self._table.update(before["alert_id"], version, update):
            raise _overtaken(before)
        after = _after(before, update)
        self._audit(user.name, change, key)
        if update.label is not None and self._deliver(after):
            del after[LABEL_PENDING]
        self._changed(after)
        return after

    def change_many(
        self, user: User, seen: Sequence[tuple[str, int]], change: Change, note: str | None
    ) -> list[tuple[str, str | None]]:
        """Changes several alerts, each by itself.

        Args:
            user: who.
            seen: key and version of each.
            change: what to do to all.
            note: for all.

        Returns:
            For each key None, or why it was not changed.

        Raises:
            ForbiddenError: the user's role is below analyst.
        """
        user.require(Role.ANALYST)

        def one(place: tuple[str, int]) -> tuple[str, str | None]:
            try:
                self._change(user, *place, change, note)
            except ServiceError:
                return place[0], "the alert store is out of reach"
            except FraudError as error:
                return place[0], str(error)
            return place[0], None

        return list(self._pool.map(one, seen))

    def deliver(self) -> int:
        """Writes the labels that closed alerts still wait for; gives how many.

        Two consoles that do so at the same time write the same bytes twice, and a label counts once for its
        transaction and verdict.
        """
        settled = milliseconds_of(self._clock()) - SETTLE_MS
        waiting = [item for item in self._table.each(LABEL_PENDING) if item[LABEL_PENDING]["at_ms"] <= settled]
        return sum(self._deliver(item) for item in waiting)

    def _deliver(self, item: Item) -> bool:
        try:
            self._write_label(item["card_token"], _label(item))
            self._table.label_written(item["alert_id"], item["status"])
        except (FraudError, OSError) as error:
            log.warning("label_waits", decision_key=subject_of(item).key, reason=str(error))
            return False
        return True

    def _update(self, user: User, before: Item, change: Change, note: str | None) -> AlertUpdate:
        at_ms = milliseconds_of(self._clock())
        entry: Item = {"at_ms": at_ms, "by": user.name, "change": change} | ({} if note is None else {"note": note})
        if change in _VERDICTS:
            status, verdict = _VERDICTS[change]
            return AlertUpdate(status, user.name, entry, {"verdict": verdict, "at_ms": at_ms})
        status = "escalated" if change == "escalate" else before["status"]
        assignee = {"assign": user.name, "release": None}.get(change, before.get("assignee"))
        return AlertUpdate(status, assignee, entry)


def shown(item: Item, user: User) -> Item:
    """An alert with its key, without the table's own attributes; the card as the role may see it."""
    key = subject_of(item).key
    visible = {"key": key} | {name: value for name, value in item.items() if name not in _UNSEEN}
    return visible | card_shown(item, key, user)


def card_shown(item: Item, key: str, user: User) -> Item:
    """Card token and reasons of an alert as the user may see them: reasons may name the card.

    Each reason with who gives it, where its code is at hand: `list`, `rule` or `model`.
    """
    token = item["card_token"]
    seen = user.card(token, key)
    reasons = {"reasons": [text.replace(token, seen) for text in item["reasons"]]}
    if "reason_codes" in item:
        reasons["reason_sources"] = [source_of(code).value for code in item["reason_codes"]]
    return {"card_token": seen} | reasons


def _overtaken(before: Item) -> ConflictError:
    who = (before.get("history") or [{}])[-1].get("by")
    return ConflictError(f"{who or 'someone else'} changed this alert since you saw it; look again")


def _after(before: Item, update: AlertUpdate) -> Item:
    after = before | {"status": update.status, "version": before["version"] + 1}
    after["history"] = [*before.get("history", []), update.entry]
    after.pop("assignee", None)
    if update.assignee is not None:
        after["assignee"] = update.assignee
    if update.label is not None:
        after[LABEL_PENDING] = update.label
    return after


def _label(item: Item) -> bytes:
    """The label of a closed alert: the same bytes each time."""
    pending = item[LABEL_PENDING]
    row = {
        "schema_version": 1,
        "transaction_id": item["transaction_id"],
        "card_token": item["card_token"],
        "merchant_id": item["merchant_id"],
        "transaction_time": time_of(item["event_ms"]),
        "billing_amount_minor": item["billing_amount_minor"],
        "verdict": pending["verdict"],
        "source": "disposition",
        "label_time": time_of(pending["at_ms"]),
    }
    return encode(pa.RecordBatch.from_pylist([row], schema=LABEL_SCHEMA))[0]
