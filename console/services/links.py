"""What joins cards: the devices, customers, addresses and merchants that they share, as a graph of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from adapters.alerts.alert import Item, subject_of
from adapters.archive.payment_index import ENTITY_FIELDS, Kind, Name, Payment
from console.access import User
from console.errors import NotFoundError
from fraud.decision.key import Subject, is_key

PAYMENTS = 200
"""Most payments, the newest, that are read of each card, device or other."""

NEIGHBOURS = 12
"""Most things that a card shares with others, and most cards of one of these."""

NODES = 60
"""Most of a graph."""

_END_MS = 10**15
_STATUS_ORDER = ("false_positive", "open", "escalated", "confirmed_fraud")
"""What a card's colour says, the last that any of its alerts has."""


class Decided(Protocol):
    """What is needed of `console.services.alerts.AlertDesk`."""

    def read(self, key: str) -> Item: ...  # noqa: D102


class AlertReader(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def of_decisions(self, subjects: Iterable[Subject]) -> list[Item]: ...  # noqa: D102


class Payments(Protocol):
    """What is needed of `adapters.archive.payment_index.PaymentIndex`."""

    def named(self, key: str) -> Name | None: ...  # noqa: D102

    def of(self, what: Name, since_ms: int, until_ms: int, limit: int) -> list[Payment]: ...  # noqa: D102

    def alerts_of_merchant(self, merchant_id: str, limit: int) -> list[Payment]: ...  # noqa: D102


class LinkDesk:
    """Follows what payments share, from a card two steps far, from anything else one.

    Args:
        alerts: by decision key.
        table: how alerts stand.
        payments: the index over the archive.
    """

    def __init__(self, alerts: Decided, table: AlertReader, payments: Payments) -> None:
        self._alerts = alerts
        self._table = table
        self._payments = payments

    def around(self, user: User, key: str) -> dict[str, Any]:
        """The graph around the card of an alert, or around anything that payments share.

        Of merchants only alerts are followed: a busy one joins everybody. `more` says that something was left out.

        Args:
            user: who asks.
            key: of an alert's decision, or of a card or other itself.

        Raises:
            NotFoundError: nothing has the key.
        """
        root = self._root(key)
        seen: dict[Subject, Payment] = {}
        own, more = self._read(root, seen)
        kept = [root]
        if root.kind == "card":
            shared, left = _most([name for name in _names(own) if name.kind != "card"], NEIGHBOURS)
            more |= left
            for name in shared:
                rows, left = self._read(name, seen)
                others, cut = _most([Name("card", row["card_token"]) for row in rows if row["card_token"] != root.name])
                more |= left or cut
                kept += [name, *others]
        else:
            cards, cut = _most([name for name in _names(own) if name.kind == "card"])
            more |= cut
            kept += cards
        nodes = list(dict.fromkeys(kept))
        return self._graph(user, root, nodes[:NODES], seen) | {"more": more or len(nodes) > NODES}

    def _root(self, key: str) -> Name:
        if is_key(key):
            return Name("card", self._alerts.read(key)["card_token"])
        named = self._payments.named(key)
        if named is None:
            raise NotFoundError("no payment that the console knows has this")
        return named

    def _read(self, name: Name, seen: dict[Subject, Payment]) -> tuple[list[Payment], bool]:
        if name.kind == "merchant":
            rows = self._payments.alerts_of_merchant(name.name, PAYMENTS + 1)
        else:
            rows = self._payments.of(name, 0, _END_MS, PAYMENTS + 1)
        seen |= {subject_of(row): row for row in rows[:PAYMENTS]}
        return rows[:PAYMENTS], len(rows) > PAYMENTS

    def _graph(self, user: User, root: Name, nodes: Sequence[Name], seen: dict[Subject, Payment]) -> dict[str, Any]:
        alerted = [subject for subject, row in seen.items() if row["outcome"] != "approve"]
        statuses: dict[Name, set[str]] = {}
        for item in self._table.of_decisions(alerted):
            statuses.setdefault(Name("card", item["card_token"]), set()).add(item["status"])
        payments, alerts, money, links = Counter[Name](), Counter[Name](), Counter[Name](), Counter[tuple[Name, Name]]()
        inside = set(nodes)
        for row in seen.values():
            names = [name for name in _names([row]) if name in inside]
            for name in names:
                payments[name] += 1
                alerts[name] += row["outcome"] != "approve"
                money[name] += row["billing_amount_minor"]
            links.update((names[0], name) for name in names[1:] if names[0].kind == "card")
        return {
            "root": root.key,
            "nodes": [
                {
                    "kind": name.kind,
                    "key": name.key,
                    "name": user.card(name.name, f"card {name.key}") if name.kind == "card" else name.name,
                    "payments": payments[name],
                    "alerts": alerts[name],
                    "billing_minor": money[name],
                    "status": max(statuses.get(name, ()), key=_STATUS_ORDER.index, default=None),
                }
                for name in nodes
            ],
            "links": [{"card": card.key, "to": name.key, "payments": n} for (card, name), n in sorted(links.items())],
        }


def _names(payments: Sequence[Payment]) -> list[Name]:
    """What payments have, once for each payment that has it; the card of each first, merchants of alerts alone."""
    kinds: dict[Kind, str] = ENTITY_FIELDS
    return [
        Name(kind, row[field])
        for row in payments
        for kind, field in kinds.items()
        if row[field] is not None and (kind != "merchant" or row["outcome"] != "approve")
    ]


def _most(names: Sequence[Name], most: int = NEIGHBOURS) -> tuple[list[Name], bool]:
    """Those that come most often, and whether there are others.

    >>> _most([Name("card", "a"), Name("card", "b"), Name("card", "b")], 1)
    ([Name(kind='card', name='b')], True)
    """
    counts = Counter(names)
    return [name for name, _ in counts.most_common(most)], len(counts) > most
