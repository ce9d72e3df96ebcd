"""Puts what labels confirm as fraud on living lists, as the policy says, and takes it off again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import structlog

from fraud.decision.key import Subject
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ConfirmedList
from fraud.decision.policy.living import Given
from fraud.errors import FraudError
from fraud.records.label import Label
from fraud.records.schema import milliseconds_of
from operations.lists import Author, ListDesk

log = structlog.get_logger()

CONFIRMED = "confirmed-fraud"
"""Who puts entries on a list by a label."""

_DAY_MS = 86_400_000


class Listed(NamedTuple):
    """What a label did to lists.

    Attributes:
        put: names of the lists that an entry was put on, or got a later expiry.
        removed: names of the lists that one was taken off.
    """

    put: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class ConfirmedFraud:
    """Takes labels, after they were written.

    Args:
        desk: of the living lists.
        policy: in force; its `confirmed_fraud` says which lists.
    """

    def __init__(self, desk: ListDesk, policy: Callable[[], CompiledPolicy]) -> None:
        self._desk = desk
        self._policy = policy

    @property
    def wanted(self) -> bool:
        """Whether the policy in force has labels fill any list."""
        return bool(self._policy().confirmed_fraud)

    def take(self, label: Label, device_id: str | None = None, arrival_ms: int | None = None) -> Listed:
        """Lists what a label confirms. Safe to repeat; where a list cannot be changed, that is logged and nothing else.

        Args:
            label: as it was written.
            device_id: of its transaction, where that is known.
            arrival_ms: when it came, if it may have been taken then: what people did with an entry since then stays.
        """
        put: list[str] = []
        removed: list[str] = []
        for wanted in self._policy().confirmed_fraud:
            try:
                change = self._change(wanted, label, device_id, arrival_ms)
            except FraudError as error:
                way = f"fraud lists add {wanted.list} VALUE"
                log.error("confirmed_fraud_not_listed", list=wanted.list, problem=str(error), way_out=way)
                continue
            if change is not None:
                (put if change else removed).append(wanted.list)
        return Listed(tuple(put), tuple(removed))

    def _change(
        self, wanted: ConfirmedList, label: Label, device_id: str | None, arrival_ms: int | None
    ) -> bool | None:
        """Whether an entry was put on the list (True) or taken off it (False); None where all stays as it is."""
        standing = self._desk.get(wanted.list)
        values = {
            "card": label.card_token,
            "merchant": label.merchant_id,
            "terminal": label.terminal_id,
            "device": device_id,
        }
        value = values.get(standing.of)
        if value is None or label.source not in wanted.sources:
            return None
        known = standing.entries.get(value)
        subject = Subject(label.card_token, label.transaction_id, milliseconds_of(label.transaction_time))
        author = Author(CONFIRMED, f"decision {subject.key}")
        if label.verdict != "fraud":
            if known is None or (known.by, known.why) != author:
                return None
            self._desk.remove(wanted.list, [value], Author(CONFIRMED, f"{label.verdict}: {author.why}"))
            return False
        until_ms = milliseconds_of(label.label_time) + wanted.days * _DAY_MS
        if known is not None and (known.expires_ms is None or known.expires_ms >= until_ms):
            return None
        if arrival_ms is not None:
            since = known is not None and known.by != CONFIRMED and known.at_ms >= arrival_ms
            if since or (known is None and self._desk.was_removed(wanted.list, value, arrival_ms)):
                return None
        self._desk.add(wanted.list, [Given(value, until_ms)], author)
        return True
