"""How stored events of an event type become our transactions: the mapping that `--data FILE --mapping FILE` takes.

The service exports events as CSV with columns of its own beside one for each variable.
"""

from __future__ import annotations

from typing import Any

from fraud.migration.mapping import NameMapping
from fraud.migration.shapes import EventType
from fraud.records.transaction import TRANSACTION_SCHEMA

EVENT_ID, EVENT_TIME, EVENT_LABEL, ENTITY_ID = "EVENT_ID", "EVENT_TIMESTAMP", "EVENT_LABEL", "ENTITY_ID"
"""The service's own columns."""

ESSENTIAL = frozenset({"amount_minor", "card_token"})
"""Without these in an event, it is no card payment: sign-ups and log-ins have neither."""

_USUAL = {
    "transaction_type": "purchase",
    "authorisation_result": "approved",
    "response_code": "00",
    "initiation": "cardholder",
}
"""What events of the service are unless a variable says otherwise."""

_OURS = {"schema_version", "sent_at", "billing_amount_minor"}
"""What follows from the rest."""


def recording_of(event_type: EventType, mapping: NameMapping) -> tuple[dict[str, Any], list[str]]:
    """The mapping of an event type's stored events, and the fields that it has no source for.

    Args:
        event_type: whose events.
        mapping: what its variables, entities and labels stand for.
    """
    columns = {"transaction_id": EVENT_ID, "event_time": EVENT_TIME}
    columns |= {mapping.entities[name]: ENTITY_ID for name in event_type.entity_types if name in mapping.entities}
    for variable in event_type.variables:
        if variable in mapping.variables:
            bound = mapping.variables[variable]
            major = bound.field == "amount_minor" and bound.scale != 1
            columns["amount" if major else bound.field] = variable
    columns = {name: column for name, column in columns.items() if name in {*TRANSACTION_SCHEMA.names, "amount"}}
    constants = {name: value for name, value in (_USUAL | mapping.constants).items() if name not in columns}
    given = {*columns, *constants, *_OURS, *(["amount_minor"] if "amount" in columns else [])}
    missing = [field.name for field in TRANSACTION_SCHEMA if not field.nullable and field.name not in given]
    frauds = sorted(label for label in event_type.labels if mapping.labels.get(label) == "fraud")
    label = {"label": {"column": EVENT_LABEL, "fraud": frauds}} if frauds else {}
    rates = {"rates": dict(mapping.rates)} if mapping.rates else {}
    return {"columns": columns, "constants": constants, **label, **rates}, missing
