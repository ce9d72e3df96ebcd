"""The alert: the item that analysts work on, derived from a stored decision."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fraud.decision.key import Subject
from fraud.records.arrival import arrival_ms_of
from fraud.records.schema import milliseconds_of

STATUS_OPEN = "open"
LABEL_PENDING = "label_pending"
"""A label that is due and not on the stream yet: the status index keeps its alert below this name, not its status."""
LABEL_SENT = "label_sent"
"""The verdict of the label that was put on the stream last."""
CHANGED = "changed"
"""Name in the status index below which notes of changed alerts wait until the outbox of events has them."""
WRITE_SHARDS = 8
"""Parts that a status or a day is spread over in its index, so that no index partition takes all writes."""

MAX_REASONS = 8
MAX_TEXT = 300

Item = dict[str, Any]
"""An item as plain Python values: str, int, float, bool, list."""


@dataclass(frozen=True)
class AlertUpdate:
    """What one change makes of an alert.

    Attributes:
        status: the new status.
        assignee: who works on it; None for nobody.
        entry: added to the alert's history: who did what, when.
        label: the label that is due after it; None for none.
        due: the label that was due as the alert was read; the change fails where another one, or none, is due by now.
        attributes: others that it sets, by name; None removes one.
    """

    status: str
    assignee: str | None
    entry: Item
    label: Item | None = None
    due: Item | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def subject_of(item: Item) -> Subject:
    """Which decision an alert is on."""
    return Subject(item["card_token"], item["transaction_id"], item["event_ms"])


def former_id(subject: Subject) -> str:
    """The `alert_id` that alerts had before it was the decision key; those in the table keep it until they expire.

    Several subjects have the same one, so whoever finds an item by it compares its subject.
    """
    return f"{subject.card_token}:{subject.transaction_id}"


def change_note(alert_id: str, version: int, at_ms: int) -> Item:
    """The item that notes a change of an alert, beside the alerts, until the outbox of events has it.

    Args:
        alert_id: the alert.
        version: that the change gave it.
        at_ms: when, UTC milliseconds.
    """
    identifier = f"{CHANGED}:{alert_id}:{version}"
    return {
        "alert_id": identifier,
        "changed_alert": alert_id,
        "changed_version": version,
        "status_shard": f"{CHANGED}#{shard_of(identifier)}",
        "decided_ms": at_ms,  # orders the index
    }


def shard_of(identifier: str) -> int:
    """The part of a spread index key that an alert belongs to."""
    return zlib.crc32(identifier.encode()) % WRITE_SHARDS


def alert_item(decision: Mapping[str, Any], features: Mapping[str, float | None], retention_days: int) -> Item:
    """Builds the item of one decision whose outcome is above approve.

    Args:
        decision: a stored decision as a row (times as aware datetimes).
        features: the features that matter for its reasons, by name.
        retention_days: days after the decision until the item expires.

    Returns:
        The item, oversize parts trimmed with `trimmed` true. Its `alert_id` is the decision key, so that the same
        decision always makes the same alert.
    """
    subject = Subject.of(decision)
    identifier = subject.key
    decided_ms = milliseconds_of(decision["decided_at"])
    reasons = [text[:MAX_TEXT] for text in decision["reasons"][:MAX_REASONS]]
    day = decision["decided_at"].strftime("%Y-%m-%d")
    shard = shard_of(identifier)
    item: Item = {
        "alert_id": identifier,
        **subject._asdict(),
        "customer_id": decision["customer_id"],
        "merchant_id": decision["merchant_id"],
        "mcc": decision["mcc"],
        "merchant_country": decision["merchant_country"],
        "channel": decision["channel"],
        "amount_minor": decision["amount_minor"],
        "currency": decision["currency"],
        "billing_amount_minor": decision["billing_amount_minor"],
        "device_id": decision["device_id"],
        "sent_ms": milliseconds_of(decision["sent_at"]),
        "decided_ms": decided_ms,
        "arrived_ms": arrival_ms_of(decision) if "arrival_ms" in decision else None,
        "outcome": decision["outcome"],
        "severity": decision["severity"],
        "score": decision["score"],
        "scored_by": decision["scored_by"],
        "model_version": decision["model_version"],
        "policy_version": decision["policy_version"],
        "rules": list(decision["rules"][:MAX_REASONS]),
        "reason_codes": list(decision["reason_codes"][:MAX_REASONS]),
        "reasons": reasons,
        "features": {name: value for name, value in features.items() if value is not None},
        "trimmed": reasons != list(decision["reasons"]),
        "status": STATUS_OPEN,
        "version": 1,
        "status_shard": f"{STATUS_OPEN}#{shard}",
        "day_shard": f"{day}#{shard}",
        "expires_at": decided_ms // 1000 + retention_days * 86_400,
    }
    return {name: value for name, value in item.items() if value is not None}
