"""What is done about a card, customer, merchant, device or address: put on a list from where it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from adapters.alerts.alert import Item
from adapters.archive.payment_index import ENTITY_FIELDS, Kind, Name, Payment
from console.access import Role, User
from console.audit import Audit
from console.errors import ConflictError, NotFoundError
from fraud.decision.key import is_key
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Given
from fraud.decision.rules.rule import RuleState
from operations.lists import Author, ListDesk

Does = Literal["block", "watch", "allow"]

ACT_PAYMENTS = 1_000
"""Most payments, the newest, by which an effect is counted."""

MAX_DAYS = 365
ANALYST_DAYS = 90
"""Longest that an analyst may block or watch by themselves."""

_ANALYST_MAY: dict[Kind, tuple[Does, ...]] = {
    "card": ("block", "watch"),
    "customer": ("block", "watch"),
    "merchant": ("watch",),
    "device": ("block", "watch"),
    "ip": ("block", "watch"),
}
"""What stops a merchant's customers, or lets payments through, needs a lead, and so does what never ends."""

_DONE: dict[Does, str] = {"block": "blocked", "watch": "watched", "allow": "allowed"}
_DAY_MS = 86_400_000
_END_MS = 10**15


class Decided(Protocol):
    """What is needed of `console.services.alerts.AlertDesk`."""

    def read(self, key: str) -> Item: ...  # noqa: D102


class Payments(Protocol):
    """What is needed of `adapters.archive.payment_index.PaymentIndex`."""

    def of_key(self, key: str) -> Payment | None: ...  # noqa: D102

    def named(self, key: str) -> Name | None: ...  # noqa: D102

    def of(self, what: Name, since_ms: int, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102


class Target(NamedTuple):
    """What can be put on a list.

    Attributes:
        what: it.
        at_ms: event time of the payment that it was seen on; None where it was looked at by itself.
    """

    what: Name
    at_ms: int | None


class ActDesk:
    """Puts what a payment has on lists, and takes it off.

    Args:
        lists: where.
        alerts: by decision key.
        payments: the index over the archive.
        clock: milliseconds since the epoch.
        audit: called with who did what, after it was done; it names decisions and lists, never a card.
    """

    def __init__(
        self, lists: ListDesk, alerts: Decided, payments: Payments, clock: Callable[[], int], audit: Audit
    ) -> None:
        self._lists = lists
        self._alerts = alerts
        self._payments = payments
        self._clock = clock
        self._audit = audit

    def about(self, user: User, key: str) -> dict[str, Any]:
        """What can be put on lists, what lists have it, and what blocking, watching or allowing would have changed.

        Args:
            user: who asks.
            key: a decision's, for all that its payment has; or that of one of those, see `Name.key`.

        Raises:
            NotFoundError: nothing has the key.
        """
        return {"targets": [self._about(user, key, target) for target in self._targets(key)]}

    def put(self, user: User, key: str, of: Kind, does: Does, days: int | None, why: str) -> dict[str, Any]:
        """Puts something on the list that blocks, watches or allows its kind, in place of an entry that is there.

        The list is the live one that policy or store have for it, the first by name of several; it is made where
        there is none. Days count in event time from now, or from the payment where that is later.

        Args:
            user: who.
            key: see `about`.
            of: which of what the payment has.
            does: what the list does.
            days: until it ends; None for never.
            why: the reason.

        Raises:
            ForbiddenError: the role does not allow it.
            NotFoundError: nothing has the key, or the payment has none of that kind.
            ConflictError: the list has no effect.
            ListError: the list refuses it.
        """
        user.require(self._needs(of, does, days))
        target = self._target(key, of)
        name = self._list_for(of, does)
        until = None if days is None else max(self._clock(), target.at_ms or 0) + days * _DAY_MS
        entry = Given(target.what.name, until, f"case {key}" if is_key(key) else "")
        changed = self._lists.add(name, [entry], Author(user.name, why), ListKind(does), of)
        self._audit(user.name, f"{of} {_DONE[does]}", f"{key} {name} {changed.version}")
        return self._about(user, key, target)

    def take_off(self, user: User, key: str, of: Kind, name: str, why: str) -> dict[str, Any]:
        """Takes something off a list: a lead anything, an analyst what they put there.

        Raises:
            ForbiddenError: the role does not allow it.
            NotFoundError: see `put`.
            ListError: it is not on the list.
        """
        target = self._target(key, of)
        entry = self._lists.get(name).entries.get(target.what.name)
        mine = entry is not None and entry.by == user.name
        user.require(Role.ANALYST if mine else Role.LEAD)
        if entry is None:
            raise ConflictError(f"it is on the list {name} as a part of a range, or not at all; change the list itself")
        changed = self._lists.remove(name, [target.what.name], Author(user.name, why))
        self._audit(user.name, f"{of} taken off", f"{key} {name} {changed.version}")
        return self._about(user, key, target)

    def _needs(self, of: Kind, does: Does, days: int | None) -> Role:
        alone = does in _ANALYST_MAY[of] and days is not None and days <= ANALYST_DAYS
        return Role.ANALYST if alone else Role.LEAD

    def _list_for(self, of: Kind, does: Does) -> str:
        usual = f"{_DONE[does]}-{of}s"
        alike = {each["name"]: each["state"] for each in self._lists.all() if (each["kind"], each["of"]) == (does, of)}
        fitting = [name for name, state in alike.items() if state == RuleState.LIVE]
        if not fitting and usual in alike:
            raise ConflictError(f"the list {usual} is in the state {alike[usual]}: what is put there has no effect")
        return usual if usual in fitting or not fitting else fitting[0]

    def _targets(self, key: str) -> list[Target]:
        if not is_key(key):
            named = self._payments.named(key)
            if named is None:
                raise NotFoundError("no payment that the console knows has this")
            return [Target(named, None)]
        payment: Mapping[str, Any] = self._payments.of_key(key) or {}
        try:
            payment = {**payment, **self._alerts.read(key)}
        except NotFoundError:
            if not payment:
                raise
        values = {kind: payment.get(field) for kind, field in ENTITY_FIELDS.items()}
        return [Target(Name(kind, value), payment["event_ms"]) for kind, value in values.items() if value is not None]

    def _target(self, key: str, of: Kind) -> Target:
        found = next((target for target in self._targets(key) if target.what.kind == of), None)
        if found is None:
            raise NotFoundError(f"this payment has no {of}, or the console has not read it from the archive yet")
        return found

    def _about(self, user: User, key: str, target: Target) -> dict[str, Any]:
        what, at_ms = target
        since = 0 if at_ms is None else at_ms + 1
        payments = self._payments.of(what, since, _END_MS, ACT_PAYMENTS + 1)
        return {
            "of": what.kind,
            "key": what.key,
            "name": user.card(what.name, key) if what.kind == "card" else what.name,
            "lists": self._lists_with(user, what, max(self._clock(), at_ms or 0)),
            "since_ms": at_ms,
            "more": len(payments) > ACT_PAYMENTS,
            "payments": len(payments[:ACT_PAYMENTS]),
            "effects": effects(payments[:ACT_PAYMENTS]),
            "needs_lead": [does for does in _DONE if user.role < self._needs(what.kind, does, 1)],
        }

    def _lists_with(self, user: User, what: Name, at_ms: int) -> list[dict[str, Any]]:
        found = []
        for each in self._lists.all():
            if each["of"] != what.kind:
                continue
            living = self._lists.get(each["name"])
            if living.compiled.has(what.name, at_ms):
                entry = living.entries.get(what.name)
                shown = {} if entry is None else entry.described(at_ms)
                mine = user.role >= Role.LEAD or shown.get("by") == user.name
                found.append(
                    {
                        "list": living.name,
                        "kind": living.kind.value,
                        "state": each["state"],
                        "may_remove": entry is not None and mine,
                        **{name: shown.get(name) for name in ("expires", "by", "at", "why")},
                    }
                )
        return found


def effects(payments: Sequence[Payment]) -> dict[str, dict[str, int]]:
    """What each act would have changed in payments, as they were decided.

    Whatever else is found, a block list declines; beside it, a watch list asks for a review. An allow list silences the
    model and the suppressible rules: it would have let at most these alerts through.

    >>> rows = [{"outcome": outcome, "billing_amount_minor": 100} for outcome in ("approve", "review", "decline")]
    >>> [effect["payments"] for effect in effects(rows).values()]
    [2, 1, 2]
    """

    def count(changed: Iterable[Payment]) -> dict[str, int]:
        amounts = [payment["billing_amount_minor"] for payment in changed]
        return {"payments": len(amounts), "billing_minor": sum(amounts)}

    return {
        "block": count(one for one in payments if one["outcome"] != "decline"),
        "watch": count(one for one in payments if one["outcome"] == "approve"),
        "allow": count(one for one in payments if one["outcome"] != "approve"),
    }
