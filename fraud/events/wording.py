"""Events as messages that people read."""

from __future__ import annotations

from fraud.events.event import (
    AlertChanged,
    AlertOpened,
    Decision,
    DecisionMade,
    DispositionGiven,
    Event,
    ListChanged,
    PolicyChanged,
)
from fraud.money import minor_digits

_MOST_REASONS = 3
_DID = {
    "assign": "took",
    "release": "released",
    "note": "annotated",
    "escalate": "escalated",
    "snooze": "snoozed",
    "tag": "tagged",
    "split": "took from its joined case",
    "confirm_fraud": "confirmed fraud on",
    "false_positive": "closed as false positive",
    "undo": "took back the verdict on",
    "reopen": "reopened",
}
_SAID = {"fraud": "says fraud of", "legitimate": "says legitimate of", "withdrawn": "withdraws what was said of"}


def message(event: Event) -> str:
    """An event in a few lines of plain text."""
    match event:
        case DecisionMade(data=decision):
            return f"{decision.outcome.capitalize()}: {_payment(decision)}{_reasons(decision)}"
        case AlertOpened(data=alert):
            return f"Alert, severity {alert.severity}, {alert.outcome}: {_payment(alert)}{_reasons(alert)}"
        case AlertChanged(data=change):
            return f"{change.by} {_DID[change.change]} the alert on {_payment(change)}"
        case DispositionGiven(data=said):
            return f"{said.by} {_SAID[said.verdict]} {_payment(said)}"
        case ListChanged(data=changed):
            did = "deleted" if changed.deleted else f"{changed.put:,} put on, {changed.removed:,} taken off"
            why = f": {changed.why}" if changed.why else ""
            return f"List {changed.list} by {changed.by}: {did}{why}"
        case PolicyChanged(data=policy):
            return f"Policy {policy.after} decides in place of {policy.before}; changed: {', '.join(policy.files)}"
        case _:
            return "A trial: this receiver takes messages"


def _payment(decision: Decision) -> str:
    digits = minor_digits(decision.currency)
    amount = f"{decision.amount_minor / 10**digits:,.{digits}f}"
    return (
        f"{decision.currency} {amount} at {decision.merchant_id} with card {decision.card_token} "
        f"(transaction {decision.transaction_id})"
    )


def _reasons(decision: Decision) -> str:
    return "".join(f"\n- {reason}" for reason in decision.reasons[:_MOST_REASONS])
