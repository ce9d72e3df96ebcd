"""Events into EventBridge, SNS and SQS. See `adapters.events.receiver.EventReceiver` for what they promise.

Each takes ten at a time and has an outcome for each; those that were not taken come back.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fraud.errors import MisconfiguredError, ServiceError, UnavailableError
from fraud.events.event import MEDIA_TYPE, Decision, Event, encode_event

AT_ONCE = 10
"""Most entries of one call of PutEvents, PublishBatch and SendMessageBatch."""

Refused = list[tuple[Event, str]]


class EventBridgeReceiver:
    """An event bus: `detail-type` is the event's type, `source` its source, `detail` the event.

    Args:
        setting: that names it, for messages.
        bus: name or ARN.
        client: an EventBridge client.
    """

    at_once = AT_ONCE

    def __init__(self, setting: str, bus: str, client: Any) -> None:
        self._setting = setting
        self._bus = bus
        self._client = client

    def require(self) -> None:
        """See `EventReceiver`: asks for the bus."""
        _require(self._setting, self._bus, lambda: self._client.describe_event_bus(Name=self._bus))

    def send(self, events: Sequence[Event]) -> Refused:
        """See `EventReceiver`."""
        entries = [
            {
                "EventBusName": self._bus,
                "Source": event.source,
                "DetailType": event.type,
                "Detail": encode_event(event).decode(),
                "Time": dt.datetime.fromisoformat(event.time),
            }
            for event in events
        ]
        answers = self._client.put_events(Entries=entries)["Entries"]
        return [
            (event, f"{answer['ErrorCode']}: {answer.get('ErrorMessage', '')}")
            for event, answer in zip(events, answers, strict=True)
            if answer.get("ErrorCode")
        ]


class SnsReceiver:
    """A topic; attributes of a message serve subscriptions' filters.

    Args:
        setting: that names it, for messages.
        topic: its ARN; of a FIFO topic, messages about one subject keep their order.
        client: an SNS client.
    """

    at_once = AT_ONCE

    def __init__(self, setting: str, topic: str, client: Any) -> None:
        self._setting = setting
        self._topic = topic
        self._client = client

    def require(self) -> None:
        """See `EventReceiver`: asks for the topic."""
        _require(self._setting, self._topic, lambda: self._client.get_topic_attributes(TopicArn=self._topic))

    def send(self, events: Sequence[Event]) -> Refused:
        """See `EventReceiver`."""
        entries = [
            {
                "Id": str(place),
                "Message": encode_event(event).decode(),
                "MessageAttributes": _attributes(event),
                **_in_order(self._topic, event),
            }
            for place, event in enumerate(events)
        ]
        answer = self._client.publish_batch(TopicArn=self._topic, PublishBatchRequestEntries=entries)
        return _failed(events, answer)


class SqsReceiver:
    """A queue.

    Args:
        setting: that names it, for messages.
        url: of the queue; in a FIFO queue, messages about one subject keep their order.
        client: an SQS client.
    """

    at_once = AT_ONCE

    def __init__(self, setting: str, url: str, client: Any) -> None:
        self._setting = setting
        self._url = url
        self._client = client

    def require(self) -> None:
        """See `EventReceiver`: asks for the queue."""
        names = ["QueueArn"]
        _require(
            self._setting,
            self._url,
            lambda: self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names),
        )

    def send(self, events: Sequence[Event]) -> Refused:
        """See `EventReceiver`."""
        entries = [
            {
                "Id": str(place),
                "MessageBody": encode_event(event).decode(),
                "MessageAttributes": _attributes(event),
                **_in_order(self._url, event),
            }
            for place, event in enumerate(events)
        ]
        return _failed(events, self._client.send_message_batch(QueueUrl=self._url, Entries=entries))


def _require(setting: str, place: str, ask: Callable[[], object]) -> None:
    try:
        ask()
    except UnavailableError:
        return  # it may answer later; deliveries wait for it
    except ServiceError as error:
        raise MisconfiguredError(f"{setting}.address", f"{place} cannot be used: {error}") from None


def _attributes(event: Event) -> dict[str, Any]:
    """What subscriptions filter by."""
    texts: dict[str, str] = {"type": event.type, "source": event.source, "content-type": MEDIA_TYPE}
    numbers: dict[str, int] = {}
    if isinstance(event.data, Decision):
        texts["outcome"] = event.data.outcome
        numbers = {
            "severity": event.data.severity,
            "billing_amount_minor": event.data.billing_amount_minor,
        }
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    attributes |= {name: {"DataType": "Number", "StringValue": str(number)} for name, number in numbers.items()}
    if isinstance(event.data, Decision) and event.data.rules:
        attributes["rules"] = {"DataType": "String.Array", "StringValue": json.dumps(event.data.rules)}
    return attributes


def _in_order(place: str, event: Event) -> dict[str, str]:
    """Of a FIFO queue or topic: what keeps its order, and what is the same message; both of at most 128 signs."""
    if not place.endswith(".fifo"):
        return {}
    group, identity = (hashlib.sha256(text.encode()).hexdigest() for text in (event.subject, event.id))
    return {"MessageGroupId": group, "MessageDeduplicationId": identity}


def _failed(events: Sequence[Event], answer: Mapping[str, Any]) -> Refused:
    failed = {int(each["Id"]): f"{each['Code']}: {each.get('Message', '')}" for each in answer.get("Failed") or []}
    return [(event, failed[place]) for place, event in enumerate(events) if place in failed]
