"""A case: one alert with what surrounds it: its card, merchant and device, and why the model scored as it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pyarrow as pa

from adapters.alert_pages import Page
from adapters.payment_index import Held, Payment, Place
from console.access import Role, User
from console.services.alerts import AlertDesk, mask, shown
from fraud.alert import Item, alert_id
from fraud.feature_text import describe_value
from fraud.scorer import VersionedScorer

CARD_PAYMENTS = 200
"""Most payments of a card that its timeline shows."""

MERCHANT_DAYS = 30
MERCHANT_PAYMENTS = 5_000
"""Most payments that a merchant's picture is made of, the newest."""

LINKED = 20
"""Most linked cases of each kind."""

_DAY_MS = 86_400_000


class Table(Protocol):
    """What is needed of `adapters.alerts.AlertTable`."""

    def of_card(self, card_token: str, limit: int) -> Page: ...  # noqa: D102

    def get_many(self, alert_ids: Sequence[str]) -> list[Item]: ...  # noqa: D102


class Payments(Protocol):
    """What is needed of `adapters.payment_index.PaymentIndex`."""

    def of_card(self, card_token: str, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def of_merchant(self, merchant_id: str, since_ms: int, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_merchant(self, merchant_id: str, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_device(self, device_id: str, limit: int) -> list[Payment]: ...  # noqa: D102

    def of_transaction(self, transaction_id: str) -> list[Payment]: ...  # noqa: D102

    def place(self, card_token: str, transaction_id: str) -> Place | None: ...  # noqa: D102

    def held(self) -> Held: ...  # noqa: D102


class CaseDesk:
    """What a case page shows.

    Args:
        desk: where alerts are read.
        table: alerts by card and by key.
        payments: the index over the archive.
        complete: whether the index holds all of the archive that it shall.
        read: a table of the archive by its key.
        models: the model of a version; None where it is not at hand.
        base_currency: of billing amounts.
    """

    def __init__(
        self,
        desk: AlertDesk,
        table: Table,
        payments: Payments,
        complete: Callable[[], bool],
        read: Callable[[str], pa.Table],
        models: Callable[[str], VersionedScorer | None],
        base_currency: str,
    ) -> None:
        self._desk = desk
        self._table = table
        self._payments = payments
        self._complete = complete
        self._read = read
        self._models = models
        self._base_currency = base_currency

    def case(self, user: User, transaction_id: str) -> dict[str, Any]:
        """The alert, and its features in words.

        Raises:
            NotFoundError: the transaction has no alert.
        """
        alert = self._desk.get(user, transaction_id)
        features = [
            {"name": name, "text": describe_value(name, value, self._base_currency)}
            for name, value in alert.pop("features", {}).items()
        ]
        return {"alert": alert, "features": features}

    def card(self, user: User, transaction_id: str) -> dict[str, Any]:
        """The card's payments, newest first, with how its other alerts stand.

        The alert's own transaction is among them even before the index has taken it over.
        """
        alert = self._desk.read(transaction_id)
        payments = self._payments.of_card(alert["card_token"], 10**15, CARD_PAYMENTS)
        alerts = {
            item["transaction_id"]: item for item in self._table.of_card(alert["card_token"], CARD_PAYMENTS).items
        }
        known = {payment["transaction_id"] for payment in payments}
        missing = [item for name, item in ({transaction_id: alert} | alerts).items() if name not in known]
        told = [
            self._told(user, payment) | {"status": alerts.get(payment["transaction_id"], {}).get("status")}
            for payment in [*payments, *missing]
        ]
        told.sort(key=lambda payment: payment["event_ms"], reverse=True)
        return {"payments": told[:CARD_PAYMENTS], "complete": self._complete()}

    def merchant(self, transaction_id: str) -> dict[str, Any]:
        """The merchant's last days up to the transaction's: payments, alerts and money of each."""
        alert = self._desk.read(transaction_id)
        until = (alert["event_ms"] // _DAY_MS + 1) * _DAY_MS - 1
        since = until + 1 - MERCHANT_DAYS * _DAY_MS
        payments = self._payments.of_merchant(alert["merchant_id"], since, until, MERCHANT_PAYMENTS)
        if len(payments) == MERCHANT_PAYMENTS:
            since = payments[-1]["event_ms"]
        days: defaultdict[int, dict[str, int]] = defaultdict(lambda: {"payments": 0, "alerts": 0, "billing_minor": 0})
        for payment in payments:
            day = days[payment["event_ms"] // _DAY_MS * _DAY_MS]
            day["payments"] += 1
            day["alerts"] += payment["outcome"] != "approve"
            day["billing_minor"] += payment["billing_amount_minor"]
        return {
            "merchant_id": alert["merchant_id"],
            "since_ms": since,
            "payments": len(payments),
            "cards": len({payment["card_token"] for payment in payments}),
            "alerts": sum(day["alerts"] for day in days.values()),
            "billing_minor": sum(day["billing_minor"] for day in days.values()),
            "days": [{"day_ms": day_ms} | figures for day_ms, figures in sorted(days.items())],
            "complete": self._complete(),
        }

    def linked(self, user: User, transaction_id: str) -> dict[str, list[Item]]:
        """Other alerts of the same card, device and merchant, newest first.

        Those of device and merchant are found in the index: a busy merchant has more alerts than a page waits for.
        """
        alert = self._desk.read(transaction_id)
        device = alert.get("device_id")
        by_device = [] if device is None else self._payments.alerts_of_device(device, LINKED + 1)
        by_merchant = self._payments.alerts_of_merchant(alert["merchant_id"], LINKED + 1)
        found = {
            "card": self._table.of_card(alert["card_token"], LINKED + 1).items,
            "device": self._alerts(by_device),
            "merchant": self._alerts(by_merchant),
        }
        return {
            name: [shown(item, user) for item in items if item["alert_id"] != alert["alert_id"]][:LINKED]
            for name, items in found.items()
        }

    def _alerts(self, payments: Sequence[Payment]) -> list[Item]:
        """The alerts on payments, as they stand in the table, newest first."""
        keys = [alert_id(payment["card_token"], payment["transaction_id"]) for payment in payments]
        return sorted(self._table.get_many(keys), key=lambda item: -item["event_ms"])

    def contributions(self, transaction_id: str) -> dict[str, Any]:
        """How much each feature moved the model's score, in log-odds, largest first.

        They are computed again from the archived features by the very version that scored. `missing` says why there
        are none: rules alone decided, the decision is not in the index yet, or that version is not at hand.
        """
        alert = self._desk.read(transaction_id)
        version = alert.get("model_version")
        answer: dict[str, Any] = {"model_version": version, "contributions": [], "missing": None}
        if version is None:
            return answer | {"missing": "rules"}
        place = self._payments.place(alert["card_token"], transaction_id)
        if place is None:
            return answer | {"missing": "archive"}
        model = self._models(version)
        if model is None:
            return answer | {"missing": "model"}
        (row,) = self._read(place.key).slice(place.row, 1).combine_chunks().to_batches()
        (contributions,) = model.explain(row)
        return answer | {
            "contributions": [
                {
                    "feature": one.feature,
                    "text": describe_value(one.feature, one.value, self._base_currency),
                    "log_odds": one.log_odds,
                }
                for one in contributions
                if one.log_odds
            ]
        }

    def _told(self, user: User, payment: Item) -> Item:
        fields = {
            name: payment.get(name)
            for name in (
                "transaction_id", "event_ms", "amount_minor", "currency", "billing_amount_minor", "merchant_id", "mcc",
                "merchant_country", "channel", "outcome", "authorisation_result", "score", "merchant_lat",
                "merchant_lon", "home_lat", "home_lon", "device_id",
            )
        }  # fmt: skip
        token = payment["card_token"]
        return fields | {"card_token": token if user.role >= Role.ANALYST else mask(token)}


def locate_in(payments: Payments, transaction_id: str) -> str | None:
    """The key of the alert on a transaction that the archive knows; None where it knows none."""
    for payment in payments.of_transaction(transaction_id):
        if payment["outcome"] != "approve":
            return alert_id(payment["card_token"], transaction_id)
    return None
