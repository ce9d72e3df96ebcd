"""Work on alerts: list, take, escalate, dispose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Literal, Protocol

import pyarrow as pa

from adapters.alert_pages import Page
from console.access import Role, User
from fraud.alert import STATUS_OPEN, Item
from fraud.encode import encode
from fraud.errors import FraudError
from fraud.label import LABEL_SCHEMA

Status = Literal["open", "escalated", "confirmed_fraud", "false_positive"]
Change = Literal["assign", "escalate", "confirm_fraud", "false_positive"]

_VERDICTS = {"confirm_fraud": ("confirmed_fraud", "fraud"), "false_positive": ("false_positive", "legitimate")}
_CLOSED = {"confirmed_fraud", "false_positive"}
_UNSEEN = {"status_shard", "day_shard", "expires_at"}


class ConflictError(FraudError):
    """Someone else changed the alert since it was read, or it is closed."""


class NotFoundError(FraudError):
    """There is no such alert."""


class Table(Protocol):
    """What is needed of `adapters.alerts.AlertTable`."""

    def get(self, alert_id: str) -> Item | None: ...  # noqa: D102

    def newest(self, status: str = STATUS_OPEN, limit: int = 50) -> Page: ...  # noqa: D102

    def set_status(self, alert_id: str, version: int, status: str, assignee: str | None, note: str | None) -> bool: ...  # noqa: D102


class AlertDesk:
    """The desk where alerts are worked.

    Args:
        table: the alerts.
        write_label: puts a label on the labels stream, given its key (the card) and bytes.
        clock: aware UTC time.
        audit: told who did what to which alert, after it was done.
    """

    def __init__(
        self,
        table: Table,
        write_label: Callable[[str, bytes], None],
        clock: Callable[[], dt.datetime],
        audit: Callable[[str, str, str], None],
    ) -> None:
        self._table = table
        self._write_label = write_label
        self._clock = clock
        self._audit = audit

    def newest(self, user: User, status: Status, limit: int) -> list[Item]:
        """Alerts of a status, newest decision first."""
        return [_shown(item, user) for item in self._table.newest(status, limit).items]

    def get(self, user: User, alert_id: str) -> Item:
        """One alert.

        Raises:
            NotFoundError: there is none.
        """
        return _shown(self._read(alert_id), user)

    def change(self, user: User, alert_id: str, version: int, change: Change, note: str | None) -> None:
        """Changes an alert; a disposition also writes its label.

        The status changes first and only one change of a version can win, so a label is written once. Where the label
        cannot be written, the alert goes back to what it was and the error is the caller's. A crash in between leaves
        a closed alert without its label.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is no such alert.
            ConflictError: it has another version by now, or is closed.
        """
        user.require(Role.ANALYST)
        before = self._read(alert_id)
        if before["status"] in _CLOSED:
            raise ConflictError(f"the alert is closed: {before['status'].replace('_', ' ')}")
        status, verdict = _VERDICTS.get(change, ("escalated" if change == "escalate" else before["status"], None))
        signed = None if note is None else f"{user.name}: {note}"
        if not self._table.set_status(alert_id, version, status, user.name, signed):
            raise ConflictError("someone else changed this alert since you opened it")
        if verdict is not None:
            try:
                self._write_label(before["card_token"], _label(before, verdict, self._clock()))
            except Exception:
                self._table.set_status(alert_id, version + 1, before["status"], before.get("assignee"), None)
                raise
        self._audit(user.name, change, alert_id)

    def _read(self, alert_id: str) -> Item:
        item = self._table.get(alert_id)
        if item is None:
            raise NotFoundError("no such alert")
        return item


def mask(token: str) -> str:
    """A card token that a viewer may see.

    >>> mask("tok_12345678")
    '…5678'
    """
    return "…" + token[-4:]


def _shown(item: Item, user: User) -> Item:
    shown = {name: value for name, value in item.items() if name not in _UNSEEN}
    if user.role < Role.ANALYST:
        shown["card_token"] = mask(item["card_token"])
        shown["alert_id"] = f"{shown['card_token']}:{item['transaction_id']}"
    return shown


def _label(item: Item, verdict: str, now: dt.datetime) -> bytes:
    row = {
        "schema_version": 1,
        "transaction_id": item["transaction_id"],
        "card_token": item["card_token"],
        "merchant_id": item["merchant_id"],
        "transaction_time": dt.datetime.fromtimestamp(item["event_ms"] / 1000, dt.UTC),
        "billing_amount_minor": item["billing_amount_minor"],
        "verdict": verdict,
        "source": "disposition",
        "label_time": now.replace(microsecond=now.microsecond // 1000 * 1000),
    }
    return encode(pa.RecordBatch.from_pylist([row], schema=LABEL_SCHEMA))[0]
