"""Finding any payment, and what payments share: cards, customers, merchants, devices, addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, get_args

from adapters.alerts.alert import Item, subject_of
from adapters.archive.payment_index import ENTITY_FIELDS, Kind, Name, Payment
from console.access import Role, User
from console.errors import NotFoundError
from console.services.alerts import shown
from fraud.decision.key import Subject
from fraud.mcc import mcc_name

FOUND = 10
"""Most that is found of each kind."""

PAGE_PAYMENTS = 2_000
"""Most payments, the newest, that a page of a card or merchant sums up."""

LISTED = 100
"""Most of them that it lists."""

SHARED = 10
"""Most cards, merchants and others that it names, those with the most payments."""

_LAST_FOUR = re.compile("[0-9]{4}")
_DAY_MS = 86_400_000
_END_MS = 10**15
_VIEWER_KINDS = tuple(kind for kind in get_args(Kind) if kind != "card")


class AlertReader(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]: ...  # noqa: D102


class Waiting(Protocol):
    """What is needed of `console.services.queue.Queue`."""

    def of_transaction(self, transaction_id: str) -> Sequence[Subject]: ...  # noqa: D102


class Payments(Protocol):
    """What is needed of `adapters.archive.payment_index.PaymentIndex`."""

    def of_key(self, key: str) -> Payment | None: ...  # noqa: D102

    def named(self, key: str) -> Name | None: ...  # noqa: D102

    def names_beginning(self, text: str, kinds: Sequence[Kind], limit: int) -> list[Name]: ...  # noqa: D102

    def cards_ending(self, digits: str, limit: int) -> list[Name]: ...  # noqa: D102

    def payments_beginning(self, text: str, limit: int) -> list[Payment]: ...  # noqa: D102

    def of(self, what: Name, since_ms: int, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102


class FindDesk:
    """Looks up what the index over the archive holds, with how its alerts stand.

    Args:
        table: the alerts.
        waiting: knows the waiting alerts, also before they are archived.
        payments: the index over the archive.
        complete: whether the index holds all of the archive that it shall.
    """

    def __init__(self, table: AlertReader, waiting: Waiting, payments: Payments, complete: Callable[[], bool]) -> None:
        self._table = table
        self._waiting = waiting
        self._payments = payments
        self._complete = complete

    def search(self, user: User, text: str) -> dict[str, Any]:
        """Payments by the beginning of their transaction id or decision key, and what they share by that of its name.

        Capitals or not does not matter. Cards are found from analyst on, also by their last four digits where payments
        carry these.
        """
        kinds = get_args(Kind) if user.role >= Role.ANALYST else _VIEWER_KINDS
        names = self._payments.names_beginning(text, kinds, FOUND + 1)
        if "card" in kinds and _LAST_FOUR.fullmatch(text):
            names = list(dict.fromkeys([*names, *self._payments.cards_ending(text, FOUND + 1)]))
        payments = self._payments.payments_beginning(text, FOUND + 1)
        unread = set(self._waiting.of_transaction(text)) - {subject_of(payment) for payment in payments}
        rows = self._with_status(user, payments[:FOUND])
        rows += [_of_alert(item, user) for item in self._table.of_decisions(unread)]
        counts = Counter(name.kind for name in names)
        return {
            "payments": rows,
            "names": {
                kind: [_name(name, user) for name in names if name.kind == kind][:FOUND]
                for kind in kinds
                if counts[kind]
            },
            "more": ["payment"] * (len(payments) > FOUND) + [kind for kind in kinds if counts[kind] > FOUND],
            "complete": self._complete(),
        }

    def payment(self, user: User, key: str) -> dict[str, Any]:
        """One payment, with or without an alert, and what it shares with others.

        Raises:
            NotFoundError: the index has no decision with the key.
        """
        payment = self._payments.of_key(key)
        if payment is None:
            raise NotFoundError(
                "the console knows no payment with this key; it may be older than what the console keeps"
            )
        (row,) = self._with_status(user, [payment])
        return {
            "payment": row,
            "names": [_name(name, user) for name in names_of(payment)],
            "complete": self._complete(),
        }

    def about(self, user: User, kind: Kind, key: str) -> dict[str, Any]:
        """A card, customer, merchant, device or address: its newest payments, its days, and what it shares.

        Raises:
            NotFoundError: the index has none with the key.
        """
        name = self._payments.named(key)
        if name is None or name.kind != kind:
            raise NotFoundError(f"the console knows no {kind} with this key; its payments may be older than it keeps")
        found = self._payments.of(name, 0, _END_MS, PAGE_PAYMENTS + 1)
        payments = found[:PAGE_PAYMENTS]
        return {
            "name": _name(name, user),
            "payments": len(payments),
            "more": len(found) > PAGE_PAYMENTS,
            "alerts": sum(payment["outcome"] != "approve" for payment in payments),
            "billing_minor": sum(payment["billing_amount_minor"] for payment in payments),
            "first_ms": payments[-1]["event_ms"] if payments else None,
            "last_ms": payments[0]["event_ms"] if payments else None,
            "days": days_of(payments),
            "shared": {
                other: [
                    _name(Name(other, value), user) | {"payments": count}
                    for value, count in Counter(
                        payment[field] for payment in payments if payment[field] is not None
                    ).most_common(SHARED)
                ]
                for other, field in ENTITY_FIELDS.items()
                if other != kind
            },
            "newest": self._with_status(user, payments[:LISTED]),
            "complete": self._complete(),
        }

    def _with_status(self, user: User, payments: Sequence[Payment]) -> list[dict[str, Any]]:
        alerted = {subject_of(payment) for payment in payments if payment["outcome"] != "approve"}
        standing = {subject_of(item): item for item in self._table.of_decisions(alerted)}
        return [_row(payment, standing.get(subject_of(payment)), user) for payment in payments]


def names_of(payment: Mapping[str, Any]) -> list[Name]:
    """What a payment has that others may share."""
    values = ((kind, payment.get(field)) for kind, field in ENTITY_FIELDS.items())
    return [Name(kind, value) for kind, value in values if value is not None]


def days_of(payments: Sequence[Payment]) -> list[dict[str, int]]:
    """Payments and alerts of each UTC day from the first to the last of some payments, also of those without any.

    >>> rows = [{"event_ms": day * 86_400_000, "outcome": outcome} for day, outcome in ((2, "review"), (0, "approve"))]
    >>> [(day["payments"], day["alerts"]) for day in days_of(rows)]
    [(1, 0), (0, 0), (1, 1)]
    """
    if not payments:
        return []
    all_ = Counter(payment["event_ms"] // _DAY_MS for payment in payments)
    alerts = Counter(payment["event_ms"] // _DAY_MS for payment in payments if payment["outcome"] != "approve")
    return [
        {"day_ms": day * _DAY_MS, "payments": all_[day], "alerts": alerts[day]}
        for day in range(min(all_), max(all_) + 1)
    ]


def _name(name: Name, user: User) -> dict[str, Any]:
    text = user.card(name.name, f"card {name.key}") if name.kind == "card" else name.name
    return {"kind": name.kind, "key": name.key, "name": text}


def _row(payment: Mapping[str, Any], alert: Item | None, user: User) -> dict[str, Any]:
    key = subject_of(dict(payment)).key
    fields = {
        name: payment.get(name)
        for name in (
            "transaction_id", "event_ms", "amount_minor", "currency", "billing_amount_minor", "merchant_id", "mcc",
            "merchant_country", "channel", "outcome", "authorisation_result", "score", "customer_id", "device_id",
            "ip_address",
        )
    }  # fmt: skip
    return fields | {
        "key": key,
        "card_token": user.card(payment["card_token"], key),
        "mcc_name": mcc_name(payment["mcc"]),
        "status": None if alert is None else alert["status"],
        "reasons": [] if alert is None else shown(alert, user)["reasons"],
    }


def _of_alert(alert: Item, user: User) -> dict[str, Any]:
    """The row of an alert whose payment is not in the index yet."""
    return _row(alert, alert, user)
