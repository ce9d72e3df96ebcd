"""What several calls refuse alike."""

from __future__ import annotations

from decision_service.afd.detector import Served
from decision_service.afd.errors import ApiError, conflict, invalid, not_found
from decision_service.afd.events import EventReader
from decision_service.engine import Refusal


def reader_of(served: Served, event_type: str) -> EventReader:
    """What reads the events of a type.

    Raises:
        ApiError: there is no such type.
    """
    reader = served.readers.get(event_type)
    if reader is None:
        raise not_found("eventTypeName: there is no such event type among what was imported")
    return reader


def refused(refusal: Refusal, reader: EventReader) -> ApiError:
    """A refusal of the service in the words of the event."""
    if refusal.reason == "duplicate":
        return conflict("eventId: the card had an event of this id within 24 hours, with other content")
    return invalid(f"{reader.named(refusal.field)}: {refusal.detail} ({refusal.reason})")
