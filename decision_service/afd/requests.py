"""What the calls at run time take, with the bounds that the API's model gives."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fraud.records.schema import whole

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
