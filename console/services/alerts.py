"""Work on alerts: take, annotate, escalate, dispose, and take a verdict back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import pyarrow as pa
import structlog

from adapters.alerts.alert import LABEL_PENDING, LABEL_SENT, AlertUpdate, Item, subject_of
from adapters.alerts.pages import AlertPage, Span
from console.access import Role, User
from console.errors import ConflictError, NotFoundError
from console.services.grouping import JOINED, JOINT_CASE
from fraud.decision.key import Subject, is_key
from fraud.decision.reasons import sources_of
from fraud.errors import FraudError, ServiceError
from fraud.events.event import AlertChange
from fraud.fraud_types import FraudType
from fraud.records.encode import encode
from fraud.records.label import LABEL_SCHEMA, Label, Verdict
from fraud.records.schema import milliseconds_of, time_of

log = structlog.get_logger()

Worked = Literal["open", "escalated"]
Closed = Literal["confirmed_fraud", "false_positive"]
Change = AlertChange

Join = Literal["join"]
"""Taking an alert into another case: `console.services.case` knows which."""

MAX_NOTE = 1_000
MAX_CHANGES = 90
"""Entries of an alert's history from which only verdicts and their undoing are left, without notes: an item of DynamoDB
holds 400 KB, a note of four-byte characters 4 KB."""

MAX_SNOOZE_MINUTES = 30 * 24 * 60
MAX_TAGS = 10

SETTLE_MS = 15_000
"""How long a label belongs to the program that took it to write it; longer than the writing can last."""

_VERDICTS = {"confirm_fraud": "confirmed_fraud", "false_positive": "false_positive"}
_LABELS: dict[str, Verdict] = {"confirmed_fraud": "fraud", "false_positive": "legitimate"}
_WITHDRAWN: Verdict = "withdrawn"
_ENDS_SNOOZE = ("assign", "release", "escalate", "confirm_fraud", "false_positive")
_WHEN_CLOSED = ("undo", "reopen", "note", "tag")
_UNSEEN = {"alert_id", "status_shard", "day_shard", "expires_at", LABEL_SENT}
_CONCURRENT_CHANGES = 8


class AlertStore(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def get(self, alert_id: str) -> Item | None: ...  # noqa: D102

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]: ...  # noqa: D102

    def newest(self, status: str, limit: int, cursor: str | None = None) -> AlertPage: ...  # noqa: D102

    def each(self, status: str, span: Span = ..., attributes: Sequence[str] = ...) -> Iterator[Item]: ...  # noqa: D102

    def update(self, alert_id: str, version: int, update: AlertUpdate) -> bool: ...  # noqa: D102

    def take_label(self, alert_id: str, due: Item, taken: Item) -> bool: ...  # noqa: D102

    def label_written(self, alert_id: str, status: str, taken: Item) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Details:
    """What a change says beside its kind.

    Attributes:
        note: in the words of who makes it.
        to: of `assign`, to whom; None for oneself.
        minutes: of `snooze`, for how long; None ends it.
        tags: of `tag`, all that the alert has from now on.
        fraud_type: of `confirm_fraud`, as the schemes classify it.
        joint_case: of `join`, the case that the alert is taken into.
        joined: of `join`, the decision key of one alert of each card in it.
    """

    note: str | None = None
    to: str | None = None
    minutes: int | None = None
    tags: tuple[str, ...] | None = None
    fraud_type: FraudType | None = None
    joint_case: str | None = None
    joined: tuple[str, ...] = ()

    @property
    def entry(self) -> Item:
        """What the history keeps of it."""
        given = {"note": self.note, "to": self.to, "minutes": self.minutes, "fraud_type": self.fraud_type}
        tags = {} if self.tags is None else {"tags": list(self.tags)}
        return {name: value for name, value in given.items() if value is not None} | tags


NO_DETAILS = Details()


class AlertDesk:
    """The desk where alerts are worked. An alert is known by its decision key, never by its transaction id alone.

    Args:
        table: the alerts.
        locate: the decision of a key, for alerts that stand under their former id; None where it is not known.
        write_label: puts a label on the labels stream, given its key (the card) and bytes.
        clock: aware UTC time.
        audit: called with who did what to which alert, by its key, after it was done.
        changed: called with every alert as a change left it.
        undo_ms: how long a verdict can be undone without a word; its label is written after that.
        confirmed: called with each label once it is written, and the payment's device.
    """

    def __init__(
        self,
        table: AlertStore,
        locate: Callable[[str], Subject | None],
        write_label: Callable[[str, bytes], None],
        clock: Callable[[], dt.datetime],
        audit: Callable[[str, str, str], None],
        changed: Callable[[Item], None] = lambda _: None,
        undo_ms: int = 0,
        confirmed: Callable[[Label, str | None], object] = lambda *_: None,
    ) -> None:
        self._table = table
        self._locate = locate
        self._write_label = write_label
        self._clock = clock
        self._audit = audit
        self._changed = changed
        self._undo_ms = undo_ms
        self._confirmed = confirmed
        self._pool = ThreadPoolExecutor(_CONCURRENT_CHANGES, thread_name_prefix="changes")

    @property
    def undo_ms(self) -> int:
        """How long a verdict can be undone."""
        return self._undo_ms

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
        """Alerts that were disposed of, newest decision first; before them those whose labels are due.

        Raises:
            CursorError: the cursor is not one.
        """
        page = self._table.newest(status, limit, cursor)
        due = [item for item in self._table.each(LABEL_PENDING) if item["status"] == status] if cursor is None else []
        due.sort(key=lambda item: -item["decided_ms"])
        return [shown(item, user) for item in (*due, *page.items)], page.cursor

    def change(self, user: User, key: str, version: int, change: Change | Join, details: Details = NO_DETAILS) -> Item:
        """Changes an alert; a disposition also has its label written.

        Status, history and the label that is due change in one step, which only one change of a version can win. The
        label is written once the time to undo the verdict is over: here, where there is none, else by `deliver`.

        `undo` takes back one's own verdict before its label is written, as if it had not been. `reopen` takes back any
        verdict at any time, with the reason in a note: where its label may have been written, another one withdraws it.

        Returns:
            The alert as it is now.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is no such alert.
            ConflictError: it has another version by now, or is in no state for this change.
        """
        return shown(self._change(user, key, version, change, details), user)

    def _change(self, user: User, key: str, version: int, change: Change | Join, details: Details) -> Item:
        user.require(Role.ANALYST)
        while True:
            before = self.read(key)
            if before["version"] != version:
                raise _overtaken(before)
            now_ms = milliseconds_of(self._clock())
            self._require_possible(user, before, change, details, now_ms)
            update = self._update(user, before, change, details, now_ms)
            if self._table.update(before["alert_id"], version, update):
                break  # else another change won, or the label that was due was taken or written: look again
        after = _after(before, update)
        self._audit(user.name, change, key)
        if update.label is not None and update.label != update.due and update.label["due_ms"] <= now_ms:
            after = self._deliver(after) or after
        self._changed(after)
        return after

    def _require_possible(self, user: User, before: Item, change: Change | Join, details: Details, now_ms: int) -> None:
        closed, note = before["status"] in get_args(Closed), details.note
        if change in ("undo", "reopen") and not closed:
            raise ConflictError("the alert is not closed")
        if closed and change not in _WHEN_CLOSED:
            raise ConflictError(f"the alert is closed: {before['status'].replace('_', ' ')}; reopen it first")
        if change == "reopen" and not note:
            raise ConflictError("say in a note why the alert is reopened")
        if change == "undo":
            due = before.get(LABEL_PENDING, {"taken": True})
            mine = _closing(before)["by"] == user.name
            if not mine or "taken" in due or due["at_ms"] + self._undo_ms < now_ms:
                raise ConflictError("too late to undo, or another's verdict; reopen the alert with the reason")
        if before["version"] > MAX_CHANGES:
            left = (*_VERDICTS, "undo") if before["version"] <= 2 * MAX_CHANGES else tuple(_VERDICTS)
            if note or change not in left:
                raise ConflictError(
                    "the alert's history is full; only confirm fraud and false positive are left, without a note"
                )

    def change_many(
        self, user: User, seen: Sequence[tuple[str, int]], change: Change | Join, details: Details = NO_DETAILS
    ) -> list[tuple[str, str | None]]:
        """Changes several alerts, each by itself.

        Args:
            user: who.
            seen: key and version of each.
            change: what to do to all.
            details: for all.

        Returns:
            For each key None, or why it was not changed.

        Raises:
            ForbiddenError: the user's role is below analyst.
        """
        user.require(Role.ANALYST)

        def one(place: tuple[str, int]) -> tuple[str, str | None]:
            try:
                self._change(user, *place, change, details)
            except ServiceError:
                return place[0], "the alert store is out of reach"
            except FraudError as error:
                return place[0], str(error)
            return place[0], None

        return list(self._pool.map(one, seen))

    def deliver(self) -> int:
        """Writes the labels that are due; gives how many.

        Of several consoles one takes a label and writes it. Where that one fails or ends, the label is due again after
        `SETTLE_MS`, and the same bytes are written, which count once.
        """
        now_ms = milliseconds_of(self._clock())
        due = [item for item in self._table.each(LABEL_PENDING) if _due_ms(item[LABEL_PENDING]) <= now_ms]
        return sum(self._deliver(item) is not None for item in due)

    def _deliver(self, item: Item) -> Item | None:
        """Writes the label that is due on an alert; gives the alert after that, None where it is still due."""
        due = item[LABEL_PENDING]
        taken = due | {"taken": True, "due_ms": milliseconds_of(self._clock()) + SETTLE_MS}
        try:
            if not self._table.take_label(item["alert_id"], due, taken):
                return None
            self._write_label(item["card_token"], _label(item))
            self._confirmed(Label(**_label_fields(item)), item.get("device_id"))
            self._table.label_written(item["alert_id"], item["status"], taken)
        except (FraudError, OSError) as error:
            log.warning("label_waits", decision_key=subject_of(item).key, reason=str(error))
            return None
        after = item | {LABEL_SENT: due["verdict"]}
        del after[LABEL_PENDING]
        return after

    def _update(self, user: User, before: Item, change: Change | Join, details: Details, at_ms: int) -> AlertUpdate:
        entry: Item = {"at_ms": at_ms, "by": user.name, "change": change} | details.entry
        status, assignee = before["status"], before.get("assignee")
        attributes: Item = {"snoozed_until_ms": None} if change in _ENDS_SNOOZE and "snoozed_until_ms" in before else {}
        if change in _VERDICTS:
            status, assignee = _VERDICTS[change], user.name
            attributes |= {} if details.fraud_type is None else {"fraud_type": details.fraud_type}
        elif change == "escalate":
            status = "escalated"
        elif change in ("undo", "reopen"):
            status = _worked_status(before)
            assignee = user.name if change == "reopen" else _assignee_before_verdict(before)
            attributes |= {"fraud_type": None} if "fraud_type" in before else {}
        elif change == "snooze":
            attributes["snoozed_until_ms"] = None if details.minutes is None else at_ms + details.minutes * 60_000
        elif change == "tag":
            attributes["tags"] = list(details.tags or ()) or None
        elif change == "join":
            attributes |= {JOINT_CASE: details.joint_case, JOINED: list(details.joined)}
        elif change == "split":
            attributes |= {JOINT_CASE: None, JOINED: None}
        elif change != "note":
            assignee = (details.to or user.name) if change == "assign" else None
        due = before.get(LABEL_PENDING)
        label = _label_due(before, status, at_ms, at_ms + self._undo_ms)
        return AlertUpdate(status, assignee, entry, label, due, attributes)


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
        sources = sources_of(item["reason_codes"], len(item["rules"]))
        reasons["reason_sources"] = [source.value for source in sources]
    return {"card_token": seen} | reasons


def _due_ms(due: Item) -> int:
    """When a label is to be written; one of an earlier version says only when its verdict was given."""
    at_ms: int = due.get("due_ms", due["at_ms"] + SETTLE_MS)
    return at_ms


def _label_due(before: Item, status: str, at_ms: int, due_ms: int) -> Item | None:
    """The label that is due when an alert gets a status.

    None is where the stream has the verdict already, or never had one. A label that somebody took may have been
    written or not: the one that replaces it is written in any case, and not before the other's time is over, so that it
    arrives as the last.
    """
    due = before.get(LABEL_PENDING)
    verdict = _LABELS.get(status, _WITHDRAWN)
    if verdict == _LABELS.get(before["status"], _WITHDRAWN):
        return due
    unsure = due is not None and (due.get("taken", False) or due.get("unsure", False))
    sent = before.get(LABEL_SENT) or (_LABELS.get(before["status"]) if due is None else None)
    if not unsure and verdict == (sent or _WITHDRAWN):
        return None
    label: Item = {"verdict": verdict, "at_ms": at_ms, "due_ms": due_ms}
    return label | {"unsure": True, "due_ms": max(due_ms, _due_ms(due))} if due is not None and unsure else label


def _closing(item: Item) -> Item:
    """The entry of a closed alert's history that closed it."""
    return next(entry for entry in reversed(item["history"]) if entry["change"] in _VERDICTS)


def _worked_status(item: Item) -> Worked:
    """What a closed alert is when its verdict is taken back: escalated where it ever was."""
    return "escalated" if any(entry["change"] == "escalate" for entry in item["history"]) else "open"


def _assignee_before_verdict(item: Item) -> str | None:
    """Who worked on a closed alert before its verdict was given."""
    assignee: str | None = None
    before: str | None = None
    for entry in item["history"]:
        if entry["change"] in _VERDICTS:
            before, assignee = assignee, entry["by"]
        elif entry["change"] == "undo":
            assignee = before
        elif entry["change"] in ("assign", "reopen"):
            assignee = entry.get("to", entry["by"])
        elif entry["change"] == "release":
            assignee = None
    return before


def _overtaken(before: Item) -> ConflictError:
    who = (before.get("history") or [{}])[-1].get("by")
    return ConflictError(f"{who or 'someone else'} changed this alert since you saw it; look again")


def _after(before: Item, update: AlertUpdate) -> Item:
    after = before | {"status": update.status, "version": before["version"] + 1}
    after["history"] = [*before.get("history", []), update.entry]
    for name, value in {"assignee": update.assignee, LABEL_PENDING: update.label, **update.attributes}.items():
        after.pop(name, None)
        if value is not None:
            after[name] = value
    return after


def _label(item: Item) -> bytes:
    """The label that is due on an alert: the same bytes each time."""
    return encode(pa.RecordBatch.from_pylist([_label_fields(item)], schema=LABEL_SCHEMA))[0]


def _label_fields(item: Item) -> Item:
    pending = item[LABEL_PENDING]
    return {
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
