"""Which events a receiver wants."""

from __future__ import annotations

from fraud.events.event import Decision, Event, ReceiverTested
from fraud.settings import EventReceiver


def wants(receiver: EventReceiver, event: Event) -> bool:
    """Whether a receiver wants an event.

    Filters by outcome, rule, severity and amount are about payments: changes of lists and policy pass them. A trial
    passes all.
    """
    if isinstance(event, ReceiverTested):
        return True
    if receiver.types and event.type not in receiver.types:
        return False
    decision = event.data
    if not isinstance(decision, Decision):
        return True
    least = receiver.min_billing_amount_minor
    return (
        (not receiver.outcomes or decision.outcome in receiver.outcomes)
        and (not receiver.rules or not set(receiver.rules).isdisjoint(decision.rules))
        and decision.severity >= receiver.min_severity
        and (least is None or decision.billing_amount_minor >= least)
    )
