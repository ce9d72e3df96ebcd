"""Which alerts are one case: those of a card, merchant or device that arrived on one UTC day.

A case is not stored. It follows from its alerts, each of which keeps its status, history and version, so that a new one
joins while somebody works on the others, and no verdict is lost. Alerts that somebody took together by hand say so
themselves, each in one conditional write.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from adapters.alerts.alert import Item
from fraud.backtest.cases import Case, case_of

CaseBy = Literal["card", "merchant", "device"]

_FIELDS = {"card": "card_token", "merchant": "merchant_id", "device": "device_id"}

JOINT_CASE = "joint_case"
"""Of an alert that was taken into another case by hand: that case."""

JOINED = "joined"
"""Of such an alert: the decision key of one alert of each card in it."""

CASE_FIELDS = (*_FIELDS.values(), "arrived_ms", "decided_ms", JOINT_CASE)
"""Attributes of an alert from which its case follows."""


def case_of_alert(alert: Item, by: CaseBy) -> Case:
    """The case of an alert; one that does not say when it arrived, of an earlier version, counts by its decision.

    >>> case_of_alert({"card_token": "card-1", "arrived_ms": 86_400_000, "decided_ms": 172_800_000}, "device")
    Case(entity='card-1', day=1)
    """
    arrived_ms = alert.get("arrived_ms")
    entity = alert.get(_FIELDS[by]) or alert["card_token"]
    return case_of(entity, alert["decided_ms"] if arrived_ms is None else arrived_ms)


def case_key(case: Case) -> str:
    """A short name of a case that says nothing of the card.

    >>> case_key(Case("card-1", 1)) == case_key(Case("card-1", 1)) != case_key(Case("card-1", 2))
    True
    """
    return hashlib.sha256(f"{case.day}:{case.entity}".encode()).hexdigest()[:24]


def case_key_of(alert: Item, by: CaseBy) -> str:
    """The name of the case that an alert is in, by hand or by itself."""
    joint: str | None = alert.get(JOINT_CASE)
    return joint or case_key(case_of_alert(alert, by))
