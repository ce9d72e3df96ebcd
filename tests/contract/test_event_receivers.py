"""Every receiver of events takes each event once it says so, says which it did not take, and shows no secret."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.aws.clients import aws_client
from adapters.events.aws import EventBridgeReceiver, SnsReceiver, SqsReceiver
from adapters.events.file import FileReceiver
from adapters.events.opening import open_receiver
from adapters.events.receiver import EventReceiver
from fraud.errors import FraudError, MisconfiguredError, ServiceError
from fraud.events.event import Event, decode_event, encode_event, trial
from fraud.events.wording import message
from fraud.settings import Aws, Settings
from fraud.settings import EventReceiver as Place
from tests.support.emulators import provisioned
from tests.support.webhooks import SECRET, Webhooks

EVENTS = [trial(f"r{n}", 1_768_478_400_000 + n, "bank") for n in range(25)]


class Opened(NamedTuple):
    """A receiver, and what arrived at it."""

    receiver: EventReceiver
    arrived: Callable[[], list[bytes]]
    sent_as: Callable[[Event], bytes] = encode_event
    once: bool = False


def file(folder: Path, _: Aws) -> Iterator[Opened]:
    path = folder / "sub" / "events.jsonl"
    yield Opened(
        open_receiver("x", Place(kind="file", address=str(path)), Aws()), lambda: path.read_bytes().splitlines()
    )


def webhook(folder: Path, _: Aws) -> Iterator[Opened]:
    (folder / "secret").write_text(SECRET)
    with Webhooks() as hook:
        place = Place(kind="webhook", address=hook.url, secret=f"file:{folder / 'secret'}")
        yield Opened(open_receiver("x", place, Aws()), lambda: [body for each in hook.bodies.values() for body in each])


def slack(folder: Path, _: Aws) -> Iterator[Opened]:
    with Webhooks(signs=False) as hook:
        (folder / "url").write_text(hook.url)
        receiver = open_receiver("x", Place(kind="slack", address=f"file:{folder / 'url'}"), Aws())
        yield Opened(receiver, lambda: hook.bodies[""], lambda event: json.dumps({"text": message(event)}).encode())


def sqs(_: Path, aws: Aws) -> Iterator[Opened]:
    queue, _arn = new_queue(aws)
    yield Opened(open_receiver("x", Place(kind="sqs", address=queue), aws), lambda: read(aws, queue))


def sqs_fifo(_: Path, aws: Aws) -> Iterator[Opened]:
    """A queue that drops what comes again by itself."""
    queue, _arn = new_queue(aws, ".fifo", FifoQueue="true")
    yield Opened(open_receiver("x", Place(kind="sqs", address=queue), aws), lambda: read(aws, queue), once=True)


def sns(_: Path, aws: Aws) -> Iterator[Opened]:
    queue, arn = new_queue(aws)
    client = aws_client("sns", aws)
    topic = client.create_topic(Name=f"events-{next(NUMBERS)}")["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    yield Opened(open_receiver("x", Place(kind="sns", address=topic), aws), lambda: read(aws, queue))


def eventbridge(_: Path, aws: Aws) -> Iterator[Opened]:
    queue, arn = new_queue(aws)
    client = aws_client("events", aws)
    bus = f"events-{next(NUMBERS)}"
    client.create_event_bus(Name=bus)
    client.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"source": ["bank"]}))
    client.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn, "InputPath": "$.detail"}])
    yield Opened(
        open_receiver("x", Place(kind="eventbridge", address=bus), aws),
        lambda: [encode_event(decode_event(body)) for body in read(aws, queue)],
    )


NUMBERS = itertools.count(1)


def new_queue(aws: Aws, suffix: str = "", **attributes: str) -> tuple[str, str]:
    """URL and ARN of a queue of the test's own."""
    client = aws_client("sqs", aws)
    url = client.create_queue(QueueName=f"events-{next(NUMBERS)}{suffix}", Attributes=attributes)["QueueUrl"]
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def read(aws: Aws, queue: str) -> list[bytes]:
    """What is in a queue, oldest first; it is emptied."""
    client, found = aws_client("sqs", aws), []
    while messages := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            found.append(each["Body"].encode())
            client.delete_message(QueueUrl=queue, ReceiptHandle=each["ReceiptHandle"])
    return found


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture(params=[file, webhook, slack, sqs, sqs_fifo, sns, eventbridge], ids=lambda make: make.__name__)
def opened(request: pytest.FixtureRequest, tmp_path: Path, emulator: Settings) -> Iterator[Opened]:
    yield from request.param(tmp_path, emulator.aws)


def send_all(receiver: EventReceiver, events: Sequence[Event]) -> None:
    for start in range(0, len(events), receiver.at_once):
        assert receiver.send(events[start : start + receiver.at_once]) == []


def test_what_is_taken_has_arrived_as_it_was(opened: Opened) -> None:
    opened.receiver.require()
    send_all(opened.receiver, EVENTS)
    assert sorted(opened.arrived()) == sorted(map(opened.sent_as, EVENTS))


def test_an_event_may_come_again(opened: Opened) -> None:
    opened.receiver.require()
    for _ in range(2):
        send_all(opened.receiver, EVENTS[:1])
    assert opened.arrived() == [opened.sent_as(EVENTS[0])] * (1 if opened.once else 2)


def test_a_webhook_that_answers_anything_but_success_has_not_taken_it(tmp_path: Path) -> None:
    for status in (302, 400, 410, 500):
        for opened in webhook(tmp_path, Aws()):
            with Webhooks() as other:
                other.status = status
                place = Place(kind="webhook", address=other.url, secret=f"file:{tmp_path / 'secret'}")
                with pytest.raises(ServiceError, match=str(status)) as refused:
                    open_receiver("x", place, Aws()).send(EVENTS[:1])
                assert "/hook" not in str(refused.value)
                assert not other.bodies
            assert opened.arrived() == []


def test_a_webhook_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with Webhooks() as hook:
        place = Place(kind="webhook", address=hook.url, secret=f"file:{tmp_path / 'secret'}")
    with pytest.raises(ServiceError):
        open_receiver("x", place, Aws()).send(EVENTS[:1])


@pytest.mark.parametrize("secret", ["file:{folder}/none", "env:NOT_THERE_AT_ALL", "file:{folder}/short"])
def test_a_secret_that_cannot_be_used_stops_the_start(tmp_path: Path, secret: str) -> None:
    (tmp_path / "short").write_text("hush-hush")
    place = Place(kind="webhook", address="http://127.0.0.1:9", secret=secret.format(folder=tmp_path))
    with pytest.raises(MisconfiguredError, match=r"events\.receivers\.x\.secret") as refused:
        open_receiver("x", place, Aws())
    assert "hush-hush" not in str(refused.value)


def test_a_line_that_a_kill_tore_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    receiver = FileReceiver("x", path)
    receiver.send(EVENTS[:1])
    with path.open("ab") as torn:
        torn.write(encode_event(EVENTS[1])[:20])
    receiver.send(EVENTS[1:2])
    assert path.read_bytes().splitlines() == [encode_event(event) for event in EVENTS[:2]]


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FraudError, match="x: "):
        FileReceiver("x", tmp_path / "file" / "below").require()


@pytest.mark.parametrize(
    "place",
    [
        Place(kind="sqs", address="http://127.0.0.1/000000000000/none"),
        Place(kind="sns", address="arn:aws:sns:eu-central-1:000000000000:none"),
        Place(kind="eventbridge", address="none"),
    ],
    ids=lambda place: place.kind,
)
def test_a_queue_topic_or_bus_that_is_not_there_stops_the_start(emulator: Settings, place: Place) -> None:
    with pytest.raises(MisconfiguredError, match=r"events\.receivers\.x\.address"):
        open_receiver("x", place, emulator.aws).require()


class Partial:
    """A client of all three services that refuses the second entry of each call, in the services' own words."""

    def put_events(self, **given: Any) -> Any:
        refused = {"ErrorCode": "Throttled", "ErrorMessage": "m"}
        return {"Entries": [refused if place == 1 else {"EventId": "e"} for place in range(len(given["Entries"]))]}

    def publish_batch(self, **_: Any) -> Any:
        return {"Failed": [{"Id": "1", "Code": "Throttled", "Message": "m", "SenderFault": False}]}

    send_message_batch = publish_batch


@pytest.mark.parametrize(
    "receiver",
    [
        EventBridgeReceiver("x", "bus", Partial()),
        SnsReceiver("x", "topic", Partial()),
        SqsReceiver("x", "queue", Partial()),
    ],
    ids=lambda receiver: type(receiver).__name__,
)
def test_entries_that_are_refused_come_back_with_the_reason(receiver: EventReceiver) -> None:
    assert receiver.send(EVENTS[:3]) == [(EVENTS[1], "Throttled: m")]


def test_an_address_that_holds_a_secret_is_in_no_message(tmp_path: Path) -> None:
    with Webhooks() as hook:
        (tmp_path / "url").write_text(hook.url.replace("/hook", "/T0/s3cret"))
    receiver = open_receiver("x", Place(kind="slack", address=f"file:{tmp_path / 'url'}"), Aws())
    with pytest.raises(ServiceError) as refused:
        receiver.send(EVENTS[:1])
    assert "s3cret" not in str(refused.value)


def test_a_secret_may_be_in_secrets_manager(emulator: Settings) -> None:
    name = f"hook-{next(NUMBERS)}"
    aws_client("secretsmanager", emulator.aws).create_secret(Name=name, SecretString=SECRET)
    with Webhooks() as hook:
        place = Place(kind="webhook", address=hook.url, secret=f"secretsmanager:{name}")
        assert open_receiver("x", place, emulator.aws).send(EVENTS[:1]) == []
        assert list(hook.bodies) == [EVENTS[0].id]
