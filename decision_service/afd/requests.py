"""What the calls at run time take, with the bounds that the API's model gives."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from decision_service.afd.errors import invalid
from decision_service.afd.events import Event, read_time
from fraud.records.schema import whole

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=whole("[0-9a-z_-]+"))]
EntityId = Annotated[str, Meta(min_length=1, max_length=256, pattern=whole("[0-9A-Za-z_.@+-]+"))]
Timestamp = Annotated[str, Meta(min_length=10, max_length=30)]
Variables = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(min_length=1, max_length=8192)]],
    Meta(min_length=1),
]


class Entity(msgspec.Struct, rename="camel"):
    """What an event is of."""

    entity_type: str
    entity_id: EntityId


Entities = Annotated[list[Entity], Meta(min_length=1, max_length=1)]


class GetEventPrediction(msgspec.Struct, rename="camel"):
    """An event to be decided."""

    detector_id: str
    event_id: str
    event_type_name: str
    entities: Entities
    event_timestamp: Timestamp
    event_variables: Variables
    detector_version_id: str | None = None
    external_model_endpoint_data_blobs: dict[str, Any] = {}


class SendEvent(msgspec.Struct, rename="camel"):
    """An event that the job decides when it comes."""

    event_id: Id
    event_type_name: Id
    event_timestamp: Timestamp
    event_variables: Variables
    entities: Entities
    assigned_label: Id | None = None
    label_timestamp: Timestamp | None = None


class OfEvent(msgspec.Struct, rename="camel"):
    """GetEvent."""

    event_id: str
    event_type_name: str


class UpdateEventLabel(msgspec.Struct, rename="camel"):
    """What became known of an event."""

    event_id: Id
    event_type_name: Id
    assigned_label: Id
    label_timestamp: Timestamp


class DeleteEvent(msgspec.Struct, rename="camel"):
    """An event that is to be forgotten."""

    event_id: Id
    event_type_name: Id
    delete_audit_history: bool | None = None


class OfEventType(msgspec.Struct, rename="camel"):
    """DeleteEventsByEventType and its status."""

    event_type_name: Id


class Filter(msgspec.Struct, rename="camel"):
    """A value that is looked for."""

    value: str | None = None


class TimeRange(msgspec.Struct, rename="camel"):
    """From one time until another."""

    start_time: Timestamp
    end_time: Timestamp


class ListEventPredictions(msgspec.Struct, rename="camel"):
    """Which predictions are looked for."""

    event_id: Filter | None = None
    event_type: Filter | None = None
    detector_id: Filter | None = None
    detector_version_id: Filter | None = None
    prediction_time_range: TimeRange | None = None
    next_token: str | None = None
    max_results: Annotated[int, Meta(ge=1, le=100)] | None = None


class GetEventPredictionMetadata(msgspec.Struct, rename="camel"):
    """A prediction that was made."""

    event_id: Id
    event_type_name: Id
    detector_id: Id
    detector_version_id: str
    prediction_timestamp: Timestamp


def event_of(asked: GetEventPrediction | SendEvent) -> Event:
    """The event of a request."""
    (entity,) = asked.entities
    return Event(
        asked.event_id,
        asked.event_type_name,
        entity.entity_type,
        entity.entity_id,
        asked.event_timestamp,
        asked.event_variables,
    )


def time_of_text(name: str, text: str) -> dt.datetime:
    """A time of a request, in UTC.

    Raises:
        ApiError: it is none.
    """
    try:
        return read_time(text)
    except ValueError:
        raise invalid(f"{name}: is no ISO 8601 time") from None
