"""The events that other systems get: CloudEvents 1.0, one type for each kind.

An event's id follows from what it is about, so the same happening has the same id whenever it is sent again. Fields may
be added to the data of a type; none is removed or changes its meaning without another schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from fraud.decision.record import OutcomeLabel, ScorerName
from fraud.events.types import EventType
from fraud.records.schema import time_of

SCHEMA = "urn:card-fraud-streaming:event:1"
"""Name of the schema of an event's data; `docs/schemas/event-1.json` is the schema."""

MEDIA_TYPE = "application/cloudevents+json"

AlertChange = Literal[
    "assign",
    "release",
    "note",
    "escalate",
    "snooze",
    "tag",
    "split",
    "confirm_fraud",
    "false_positive",
    "undo",
    "reopen",
]

Said = Literal["fraud", "legitimate", "withdrawn"]

Time = Annotated[
    str, msgspec.Meta(description="RFC 3339, in UTC, with milliseconds.", extra_json_schema={"format": "date-time"})
]


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision above approve, and the payment that it is about.

    Amounts are in minor units; `billing_amount_minor` in the base currency. A reason's text may name the card's token.
    """

    decision_key: str
    transaction_id: str
    card_token: str
    merchant_id: str
    event_time: Time
    decided_at: Time
    outcome: OutcomeLabel
    severity: Annotated[int, msgspec.Meta(ge=0, le=100)]
    scored_by: ScorerName
    policy_version: str
    amount_minor: int
    currency: str
    billing_amount_minor: int
    rules: list[str]
    reason_codes: list[str]
    reasons: list[str]
    customer_id: str | None = None
    device_id: str | None = None
    mcc: str | None = None
    merchant_country: str | None = None
    channel: str | None = None
    score: float | None = None
    model_version: str | None = None


class Alert(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """An alert, as it was opened."""

    alert_id: str
    status: Literal["open", "escalated", "confirmed_fraud", "false_positive"]
    version: Annotated[int, msgspec.Meta(ge=1)]


class ChangedAlert(Alert, frozen=True, kw_only=True, omit_defaults=True):
    """An alert, as one change left it. Notes of analysts stay in the console."""

    change: AlertChange
    by: str


class Disposition(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """What an analyst says about a payment. `withdrawn` takes back what was said before of the same alert."""

    alert_id: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    verdict: Said
    by: str


class ChangedList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a living list; its entries are not named."""

    list: str
    kind: str
    of: str
    version: str
    put: Annotated[int, msgspec.Meta(ge=0)]
    removed: Annotated[int, msgspec.Meta(ge=0)]
    deleted: bool
    by: str
    why: str = ""


class ChangedPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The job decides by other files of the policy, from a micro-batch of a query on. Living lists change by
    themselves.
    """

    before: str
    after: str
    query: str
    batch: Annotated[int, msgspec.Meta(ge=0)]
    files: list[str]


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody tries a receiver out."""

    receiver: str


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=False):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    source: Annotated[str, msgspec.Meta(min_length=1)]
    subject: Annotated[str, msgspec.Meta(min_length=1)]
    time: Time
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:card-fraud-streaming:event:1"] = "urn:card-fraud-streaming:event:1"

    @property
    def type(self) -> EventType:
        """Its type."""
        return self.__struct_config__.tag  # type: ignore[return-value]


class DecisionMade(_Event, frozen=True, kw_only=True, tag="fraud.decision.made"):
    """A decision above approve was stored."""

    data: Decision


class AlertOpened(_Event, frozen=True, kw_only=True, tag="fraud.alert.opened"):
    """An alert was opened."""

    data: Alert


class AlertChanged(_Event, frozen=True, kw_only=True, tag="fraud.alert.changed"):
    """Somebody changed an alert."""

    data: ChangedAlert


class DispositionGiven(_Event, frozen=True, kw_only=True, tag="fraud.disposition.given"):
    """Somebody gave a verdict on an alert, or took one back."""

    data: Disposition


class ListChanged(_Event, frozen=True, kw_only=True, tag="fraud.list.changed"):
    """A living list was changed."""

    data: ChangedList


class PolicyChanged(_Event, frozen=True, kw_only=True, tag="fraud.policy.changed"):
    """The policy in force in the job was changed."""

    data: ChangedPolicy


class ReceiverTested(_Event, frozen=True, kw_only=True, tag="fraud.receiver.tested"):
    """A trial of a receiver."""

    data: Tested


Event = DecisionMade | AlertOpened | AlertChanged | DispositionGiven | ListChanged | PolicyChanged | ReceiverTested


def _json_schema() -> dict[str, Any]:
    schema = msgspec.json.schema(Event)
    for each in get_args(Event):  # what has a default here is required there
        definition = schema["$defs"][each.__name__]
        definition["required"] = list(definition["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "An event of card fraud detection, as CloudEvents 1.0 in JSON",
        **schema,
    }


EVENT_JSON_SCHEMA = _json_schema()
"""The published schema of events."""

_CLOSING = {"confirm_fraud": "confirmed_fraud", "false_positive": "false_positive"}
_SAID: Mapping[str, Said] = {"confirm_fraud": "fraud", "false_positive": "legitimate"}
_OF_DECISION = [
    field for field in Decision.__struct_fields__ if field not in ("decision_key", "event_time", "decided_at")
]


def encode_event(event: Event) -> bytes:
    """An event as CloudEvents JSON; the same bytes for the same event."""
    return msgspec.json.encode(event)


def decode_event(data: bytes) -> Event:
    """The inverse of `encode_event`.

    Raises:
        msgspec.ValidationError: it is no event of ours.
    """
    return msgspec.json.decode(data, type=Event)  # type: ignore[no-any-return]


def rfc3339(at_ms: int) -> str:
    """UTC milliseconds as text.

    >>> rfc3339(1_768_478_400_000)
    '2026-01-15T12:00:00.000Z'
    """
    return time_of(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_decision(item: Mapping[str, Any], key: str, source: str) -> list[Event]:
    """The events of a decision above approve: it was made, and its alert was opened.

    Args:
        item: the alert that follows from it (`adapters.alerts.alert.alert_item`).
        key: its decision key.
        source: the events' source.
    """
    facts, at = _facts(item, key), rfc3339(item["decided_ms"])
    opened = Alert(**facts, alert_id=item["alert_id"], status="open", version=1)
    return [
        DecisionMade(id=f"decision-{key}", source=source, subject=key, time=at, data=Decision(**facts)),
        AlertOpened(id=f"alert-{key}-1", source=source, subject=key, time=at, data=opened),
    ]


def of_change(item: Mapping[str, Any], version: int, key: str, source: str) -> list[Event]:
    """The events of one change of an alert: it was changed, and perhaps a verdict was given or taken back.

    Args:
        item: the alert, as it is now or was at any time after the change.
        version: that the change gave it.
        key: its decision key.
        source: the events' source.
    """
    history = item["history"][: version - 1]
    entry = history[-1]
    facts, at = _facts(item, key), rfc3339(entry["at_ms"])
    status = status_after([each["change"] for each in history])
    changed = ChangedAlert(
        **facts, alert_id=item["alert_id"], status=status, version=version, change=entry["change"], by=entry["by"]
    )
    events: list[Event] = [AlertChanged(id=f"alert-{key}-{version}", source=source, subject=key, time=at, data=changed)]
    said = "withdrawn" if entry["change"] in ("undo", "reopen") else _SAID.get(entry["change"])
    if said is not None:
        disposition = Disposition(
            **facts,
            alert_id=item["alert_id"],
            version=version,
            verdict=said,
            by=entry["by"],
        )
        events.append(
            DispositionGiven(id=f"disposition-{key}-{version}", source=source, subject=key, time=at, data=disposition)
        )
    return events


def status_after(changes: list[AlertChange]) -> Any:
    """The status of an alert after changes in their order.

    >>> status_after(["assign", "escalate", "confirm_fraud"]), status_after(["escalate", "confirm_fraud", "undo"])
    ('confirmed_fraud', 'escalated')
    """
    status = "open"
    for place, change in enumerate(changes):
        if change in _CLOSING:
            status = _CLOSING[change]
        elif change == "escalate" or (change in ("undo", "reopen") and "escalate" in changes[:place]):
            status = "escalated"
        elif change in ("undo", "reopen"):
            status = "open"
    return status


def trial(receiver: str, at_ms: int, source: str) -> ReceiverTested:
    """The event that tries a receiver out."""
    return ReceiverTested(
        id=f"test-{receiver}-{at_ms:x}",
        source=source,
        subject=receiver,
        time=rfc3339(at_ms),
        data=Tested(receiver=receiver),
    )


def _facts(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    facts = {name: item[name] for name in _OF_DECISION if item.get(name) is not None}
    return facts | {
        "decision_key": key,
        "event_time": rfc3339(item["event_ms"]),
        "decided_at": rfc3339(item["decided_ms"]),
    }


assert {*get_args(EventType)} == {each.__struct_config__.tag for each in get_args(Event)}
