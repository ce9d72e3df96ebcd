"""Answers of a decision service for tests: every field has a plain default, a test states what matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraud.decision.key import Subject
from fraud.features import FEATURE_NAMES, SHIPPED
from fraud.records.answered import Answered, AnswerKey, fitted, packed, seal
from tests.support.records import NOON, transaction, wire

KEY = AnswerKey("k1", b"secret of the tests, 32 bytes ..")
KEYS = {KEY.id: KEY}
NOON_MS = int(NOON.timestamp() * 1000)


def answered(of: Mapping[str, Any] | None = None, **fields: Any) -> Answered:
    """An answer of approval on a transaction; `fields` replace defaults."""
    plain: dict[str, Any] = {
        "outcome": "approve",
        "score": 0.25,
        "scored_by": "in_process",
        "model_version": "m1",
        "policy_version": "p1",
        "segment": "default",
        "lists_outcome": "approve",
        "rules_outcome": "approve",
        "model_outcome": "approve",
        "shadow_outcome": "approve",
        "decision_key": Subject.of(transaction() if of is None else of).key,
        "received_ms": NOON_MS,
        "decided_ms": NOON_MS + 2,
        "instance": "decide-0",
        "exact": {"card": True, "merchant": True},
        "catalogue": SHIPPED.hash,
        "features": packed([0.5] * len(FEATURE_NAMES)),
    }
    return Answered(**plain | fields)


def sealed(record: Mapping[str, Any] | None = None, key: AnswerKey = KEY, **fields: Any) -> bytes:
    """A transaction with an answer on the stream; `fields` are the answer's."""
    given = transaction() if record is None else record
    return seal(wire(dict(given)), fitted(answered(given, **fields)), key)
