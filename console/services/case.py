"""A case: one alert with what surrounds it: its card, merchant and device, and why the model scored as it did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Protocol, get_args

import pyarrow as pa

from adapters.alerts.alert import Item, subject_of
from adapters.alerts.pages import AlertPage
from adapters.archive.payment_index import ArchiveRow, Held, Name, Payment
from console.access import User
from console.errors import ConflictError, NotFoundError
from console.services.alerts import AlertDesk, Details, Worked, shown
from console.services.grouping import JOINED, CaseBy, case_key_of, case_of_alert
from fraud.decision.counterfactual import Counterfactuals
from fraud.decision.key import Subject
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.rules.fields import fields_of, text_of
from fraud.decision.scorer import RulesOnly, VersionedScorer
from fraud.decision.single import outcome_of
from fraud.features import Catalogue
from fraud.mcc import mcc_name
from fraud.records import Row
from fraud.records.arrival import RAW_FIELD
from fraud.records.transaction import TRANSACTION_SCHEMA

CARD_PAYMENTS = 200
"""Most payments of a card that its timeline shows, around the alert's."""

CARD_PAYMENTS_AFTER = 60
"""Most of them from after the alert's, where there are as many before it."""

MERCHANT_DAYS = 30
MERCHANT_PAYMENTS = 5_000
"""Most payments that a merchant's picture is made of, the newest."""

CASE_ALERTS = 200
"""Most alerts of a card, merchant or device among which those of its case are looked for, the newest."""

JOINED_CARDS = 20
"""Most cards that are taken together into one case by hand."""

LINKED = 20
"""Most linked cases of each kind."""

FOUND = 100
"""Most cases that are shown of one transaction id, the newest."""

_DAY_MS = 86_400_000
_WAITING = get_args(Worked)


class AlertReader(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def of_card(self, card_token: str, limit: int) -> AlertPage: ...  # noqa: D102

    def of_merchant(self, merchant_id: str, limit: int) -> AlertPage: ...  # noqa: D102

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]: ...  # noqa: D102


class Waiting(Protocol):
    """What is needed of `console.services.queue.Queue`."""

    def of_transaction(self, transaction_id: str) -> Sequence[Subject]: ...  # noqa: D102

    def of_case(self, case: str) -> Sequence[Subject]: ...  # noqa: D102


class Payments(Protocol):
    """What is needed of `adapters.archive.payment_index.PaymentIndex`."""

    def of_card(self, card_token: str, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def of_card_after(self, card_token: str, after_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def of(self, what: Name, since_ms: int, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_merchant(self, merchant_id: str, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_device(self, device_id: str, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_transaction(self, transaction_id: str, limit: int) -> list[Subject]: ...  # noqa: D102

    def named(self, key: str) -> Name | None: ...  # noqa: D102

    def place(self, subject: Subject) -> ArchiveRow | None: ...  # noqa: D102

    def held(self) -> Held: ...  # noqa: D102


class CaseDesk:
    """What a case page shows.

    Args:
        desk: where alerts are read.
        table: alerts by card and by decision.
        waiting: knows the waiting alerts, also before they are archived.
        payments: the index over the archive.
        complete: whether the index holds all of the archive that it shall.
        read: columns of an archived table by its key.
        models: the model of a version; None where it is not at hand.
        policies: likewise the policy.
        base_currency: of billing amounts.
        catalogue: of the features that decisions have.
        case_by: whose alerts of one day are a case.
    """

    def __init__(
        self,
        desk: AlertDesk,
        table: AlertReader,
        waiting: Waiting,
        payments: Payments,
        complete: Callable[[], bool],
        read: Callable[[str, Sequence[str]], pa.Table],
        models: Callable[[str], VersionedScorer | None],
        policies: Callable[[str], CompiledPolicy | None],
        base_currency: str,
        catalogue: Catalogue,
        case_by: CaseBy = "card",
    ) -> None:
        self._desk = desk
        self._table = table
        self._waiting = waiting
        self._payments = payments
        self._complete = complete
        self._read = read
        self._models = models
        self._policies = policies
        self._base_currency = base_currency
        self._catalogue = catalogue
        self._fields = fields_of(catalogue.features)
        self._counterfactuals = Counterfactuals(catalogue)
        self._case_by = case_by

    def find(self, user: User, transaction_id: str) -> dict[str, Any]:
        """Every alert on a transaction id, newest event first: of whatever card, on whatever day.

        `more` says whether there are older ones.
        """
        archived = self._payments.alerts_of_transaction(transaction_id, FOUND + 1)
        alerts = self._newest({*self._waiting.of_transaction(transaction_id), *archived})
        more = len(archived) > FOUND or len(alerts) > FOUND
        return {"alerts": [shown(item, user) for item in alerts[:FOUND]], "more": more, "complete": self._complete()}

    def case(self, user: User, key: str) -> dict[str, Any]:
        """The alert with a decision key, and its features in words.

        Raises:
            NotFoundError: there is none.
        """
        alert = self._desk.get(user, key)
        values = alert.pop("features", {})
        features = [{"name": name, "text": self._text(name, values)} for name in values]
        return {"alert": alert | {"mcc_name": mcc_name(alert["mcc"])}, "features": features}

    def alerts(self, user: User, key: str) -> dict[str, Any]:
        """The alerts of the case that an alert belongs to, waiting and closed, newest decision first.

        `more` says whether the case may have older ones, which are not shown.
        """
        alert = self._desk.read(key)
        case = case_of_alert(alert, self._case_by)
        if case.entity == alert["card_token"]:
            listed = self._table.of_card(case.entity, CASE_ALERTS).items
        elif self._case_by == "merchant":
            listed = self._table.of_merchant(case.entity, CASE_ALERTS).items
        else:
            listed = self._newest(map(subject_of, self._payments.alerts_of_device(case.entity, CASE_ALERTS)))
        others = self._cards_joined(alert) - {alert["card_token"]}
        listed += [item for card in sorted(others) for item in self._table.of_card(card, CASE_ALERTS).items]
        name = case_key_of(alert, self._case_by)
        of_case = {one["alert_id"]: one for one in (alert, *listed) if case_key_of(one, self._case_by) == name}
        known = {subject_of(item) for item in of_case.values()}
        waiting = [subject for subject in self._waiting.of_case(name) if subject not in known]
        of_case |= {item["alert_id"]: item for item in self._table.of_decisions(waiting)}
        alerts = sorted(of_case.values(), key=lambda item: -item["decided_ms"])
        return {
            "by": "card" if case.entity == alert["card_token"] else self._case_by,
            "day_ms": case.day * _DAY_MS,
            "joined": JOINED in alert,
            "cards": len({item["card_token"] for item in alerts}),
            "alerts": [shown(item, user) for item in alerts],
            "more": len(listed) >= CASE_ALERTS,
        }

    def _cards_joined(self, alert: Item) -> set[str]:
        """The cards of a case that was put together by hand; empty of any other."""
        cards = set()
        for key in alert.get(JOINED, ()):
            try:
                cards.add(self._desk.read(key)["card_token"])
            except NotFoundError:
                continue  # expired, or erased with its cardholder
        return cards

    def join(self, user: User, key: str, cards: Sequence[str]) -> list[tuple[str, str | None]]:
        """Takes the waiting alerts of other cards into the case of an alert, each by itself.

        Alerts that come later, of whatever card, are cases of their own as always. A change of type `split` of an alert
        takes it back.

        Args:
            user: who.
            key: of an alert of the case.
            cards: their keys, see `adapters.archive.payment_index.Name.key`.

        Returns:
            For each alert by its key None, or why it was not taken.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is no such alert, or no such card.
            ConflictError: together they are more cards than a case has, or none of the others has an alert that waits.
        """
        alert = self._desk.read(key)
        tokens = {self._card(card) for card in cards} - {alert["card_token"]}
        own = [self._desk.read(one["key"]) for one in self.alerts(user, key)["alerts"] if one["status"] in _WAITING]
        other = [item for token in sorted(tokens) for item in self._table.of_card(token, CASE_ALERTS).items]
        other = [item for item in other if item["status"] in _WAITING]
        if not other:
            raise ConflictError("no alert of these cards waits")
        first = {item["card_token"]: subject_of(item).key for item in (alert, *own, *other)}
        members = tuple(dict.fromkeys([*alert.get(JOINED, ()), *first.values()]))
        if len(members) > JOINED_CARDS:
            raise ConflictError(f"a case holds at most {JOINED_CARDS} cards")
        joining = {subject_of(item).key: item["version"] for item in (*own, *other)}
        details = Details(joint_case=case_key_of(alert, self._case_by), joined=members)
        return self._desk.change_many(user, list(joining.items()), "join", details)

    def _card(self, key: str) -> str:
        name = self._payments.named(key)
        if name is None or name.kind != "card":
            raise NotFoundError("the console knows no card with this key")
        return name.name

    def card(self, user: User, key: str) -> dict[str, Any]:
        """The card's payments around the alert's, newest first, with how its alerts stand, and what was usual before.

        The alert's own transaction is always among them, also before the index has taken it over. `earlier` and `later`
        say whether the card has more payments than are shown.
        """
        alert = self._desk.read(key)
        at_ms, own = alert["event_ms"], subject_of(alert)
        token = alert["card_token"]
        until = self._payments.of_card(token, at_ms, CARD_PAYMENTS + 1)
        before = [payment for payment in until if subject_of(payment) != own]
        after = self._payments.of_card_after(token, at_ms, CARD_PAYMENTS)
        room = CARD_PAYMENTS - 1
        shown_after = after[: max(CARD_PAYMENTS_AFTER, room - len(before))]
        shown_before = before[: room - len(shown_after)]
        earlier, later = len(shown_before) < len(before), len(shown_after) < len(after)
        indexed = [*shown_before, *(payment for payment in until if subject_of(payment) == own), *shown_after]
        standing = self._alerts_of_card(token, indexed) | {own: alert}
        known = {subject_of(payment) for payment in indexed}
        since_ms = shown_before[-1]["event_ms"] if earlier else 0
        until_ms = shown_after[-1]["event_ms"] if later else 10**15
        missing = [
            item
            for subject, item in standing.items()
            if subject not in known and since_ms <= item["event_ms"] <= until_ms
        ]
        shown_token = user.card(token, key)
        payments = [
            _view(payment, shown_token) | {"status": standing.get(subject_of(payment), {}).get("status")}
            for payment in [*indexed, *missing]
        ]
        payments.sort(key=lambda payment: payment["event_ms"], reverse=True)
        return {
            "payments": payments,
            "earlier": earlier,
            "later": later,
            "usual": usual_for_card(alert, before),
            "complete": self._complete(),
        }

    def _alerts_of_card(self, card_token: str, payments: Sequence[Payment]) -> dict[Subject, Item]:
        """The card's newest alerts, and those on payments."""
        newest = {subject_of(item): item for item in self._table.of_card(card_token, CARD_PAYMENTS).items}
        alerted = {subject_of(payment) for payment in payments if payment["outcome"] != "approve"}
        return {subject_of(item): item for item in self._table.of_decisions(alerted - newest.keys())} | newest

    def merchant(self, key: str) -> dict[str, Any]:
        """The merchant's last days up to the transaction's: payments, alerts and money of each."""
        alert = self._desk.read(key)
        until = (alert["event_ms"] // _DAY_MS + 1) * _DAY_MS - 1
        since = until + 1 - MERCHANT_DAYS * _DAY_MS
        payments = self._payments.of(Name("merchant", alert["merchant_id"]), since, until, MERCHANT_PAYMENTS)
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
            "days": [{"day_ms": day_ms} | days[day_ms] for day_ms in range(min(days), until, _DAY_MS)] if days else [],
            "complete": self._complete(),
        }

    def linked(self, user: User, key: str) -> dict[str, list[Item]]:
        """Other alerts of the same card, device and merchant, newest first.

        Those of device and merchant are found in the index: a busy merchant has more alerts than a page waits for.
        """
        alert = self._desk.read(key)
        device = alert.get("device_id")
        by_device = [] if device is None else self._payments.alerts_of_device(device, LINKED + 1)
        by_merchant = self._payments.alerts_of_merchant(alert["merchant_id"], LINKED + 1)
        found = {
            "card": self._table.of_card(alert["card_token"], LINKED + 1).items,
            "device": self._newest(map(subject_of, by_device)),
            "merchant": self._newest(map(subject_of, by_merchant)),
        }
        return {
            name: [shown(item, user) for item in items if item["alert_id"] != alert["alert_id"]][:LINKED]
            for name, items in found.items()
        }

    def _newest(self, subjects: Iterable[Subject]) -> list[Item]:
        """The alerts on decisions, as they stand in the table, newest event first."""
        return sorted(self._table.of_decisions(subjects), key=lambda item: -item["event_ms"])

    def contributions(self, key: str) -> dict[str, Any]:
        """How much each feature moved the model's score, in log-odds, what moved it most first.

        They are computed again from the archived features by the very version that scored. `missing` says why there
        are none: rules alone decided, the decision is not in the index yet, or that version is not at hand.
        """
        alert = self._desk.read(key)
        version = alert.get("model_version")
        answer: dict[str, Any] = {"model_version": version, "contributions": [], "missing": None}
        if version is None:
            return answer | {"missing": "rules"}
        place = self._payments.place(subject_of(alert))
        if place is None:
            return answer | {"missing": "archive"}
        model = self._models(version)
        if model is None:
            return answer | {"missing": "model"}
        (row,) = self._read(place.key, self._catalogue.names).slice(place.row, 1).combine_chunks().to_batches()
        (contributions,) = model.explain(row)
        (values,) = row.to_pylist()
        return answer | {
            "contributions": [
                {
                    "feature": one.feature,
                    "text": self._text(one.feature, values),
                    "log_odds": one.log_odds,
                }
                for one in contributions
            ]
        }

    def counterfactual(self, key: str) -> dict[str, Any]:
        """The smallest changes of amount, time, merchant or velocity with which it would have been approved.

        The version of the model and of the policy that decided are asked again. `missing` says why there is no answer:
        the decision is not in the index yet, one of them is not at hand, or they decide otherwise now, because another
        program of features or lists decided then.
        """
        alert = self._desk.read(key)
        answer: dict[str, Any] = {"changes": [], "missing": None}
        place = self._payments.place(subject_of(alert))
        if place is None:
            return answer | {"missing": "archive"}
        version = alert.get("model_version")
        scorer = RulesOnly() if version is None else self._models(version)
        if scorer is None:
            return answer | {"missing": "model"}
        policy = self._policies(alert["policy_version"])
        if policy is None:
            return answer | {"missing": "policy"}
        columns = [*TRANSACTION_SCHEMA.names, *self._catalogue.names, *({RAW_FIELD.name} & policy.columns)]
        (values,) = self._read(place.key, columns).slice(place.row, 1).to_pylist()
        transaction = Row(values)
        if outcome_of(transaction, scorer, policy)[0].label != alert["outcome"]:
            return answer | {"missing": "differs"}
        changes = self._counterfactuals.nearest_approvals(transaction, scorer, policy)
        return answer | {"changes": [{"kind": c.kind.value, "text": c.text, "score": c.score} for c in changes]}

    def _text(self, name: str, values: Mapping[str, Any]) -> str:
        """A feature's value in words, beside what is usual, as reasons say it."""
        text = text_of(name, self._fields)
        compared = None if text.usual_name is None else values.get(text.usual_name)
        return text.describe(values.get(name), self._base_currency, compared)


def usual_for_card(alert: Item, before: Sequence[Payment]) -> dict[str, Any]:
    """What was usual for a card up to an alert: its earlier payments, and in how many of them each thing was the same.

    Args:
        alert: on one of its payments.
        before: the payments before it, approved or not, at most some hundred.

    Returns:
        `payments` and since when; by field how many were the same; of the billing amounts the median, the bounds of the
        middle eight of ten, and how many were smaller. Without a payment only that number.

    >>> alert = {"billing_amount_minor": 900, "merchant_country": "FR"}
    >>> before = [{"event_ms": n, "billing_amount_minor": 100 * n, "merchant_country": "DE"} for n in range(1, 11)]
    >>> usual = usual_for_card(alert, before)
    >>> usual["payments"], usual["since_ms"], usual["same"]["merchant_country"], usual["amount"]
    (10, 1, 0, {'median_minor': 550, 'low_minor': 200, 'high_minor': 900, 'smaller': 8})
    """
    if not before:
        return {"payments": 0}
    amounts = sorted(payment["billing_amount_minor"] for payment in before)
    edge = len(amounts) // 10
    return {
        "payments": len(before),
        "since_ms": min(payment["event_ms"] for payment in before),
        "same": {
            name: sum(payment.get(name) == alert.get(name) for payment in before)
            for name in ("merchant_id", "mcc", "merchant_country", "channel", "device_id")
        },
        "amount": {
            "median_minor": round(median(amounts)),
            "low_minor": amounts[edge],
            "high_minor": amounts[-1 - edge],
            "smaller": sum(amount < alert["billing_amount_minor"] for amount in amounts),
        },
    }


def _view(payment: Item, token: str) -> Item:
    """A payment of a card whose token is shown like this."""
    fields = {
        name: payment.get(name)
        for name in (
            "transaction_id", "event_ms", "amount_minor", "currency", "billing_amount_minor", "merchant_id", "mcc",
            "merchant_country", "channel", "outcome", "authorisation_result", "score", "merchant_lat",
            "merchant_lon", "home_lat", "home_lon", "device_id",
        )
    }  # fmt: skip
    return fields | {"key": subject_of(payment).key, "card_token": token, "mcc_name": mcc_name(payment["mcc"])}
