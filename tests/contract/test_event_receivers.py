"""Every receiver of events takes each event once it says so, says which it did not take, and shows no secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.events.file import FileReceiver
from adapters.events.opening import open_receiver
from adapters.events.receiver import EventReceiver
from fraud.errors import FraudError, MisconfiguredError, ServiceError
from fraud.events.event import Event, encode_event, trial
from fraud.settings import Aws
from fraud.settings import EventReceiver as Place
from tests.support.webhooks import SECRET, Webhooks

EVENTS = [trial(f"r{n}", 1_768_478_400_000 + n, "bank") for n in range(25)]


class Opened(NamedTuple):
    """A receiver, and what arrived at it."""

    receiver: EventReceiver
    arrived: Callable[[], list[bytes]]


def file(folder: Path) -> Iterator[Opened]:
    path = folder / "sub" / "events.jsonl"
    yield Opened(
        open_receiver("x", Place(kind="file", address=str(path)), Aws()), lambda: path.read_bytes().splitlines()
    )


def webhook(folder: Path) -> Iterator[Opened]:
    (folder / "secret").write_text(SECRET)
    with Webhooks() as hook:
        place = Place(kind="webhook", address=hook.url, secret=f"file:{folder / 'secret'}")
        yield Opened(open_receiver("x", place, Aws()), lambda: [body for each in hook.bodies.values() for body in each])


@pytest.fixture(params=[file, webhook], ids=lambda make: make.__name__)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    yield from request.param(tmp_path)


def send_all(receiver: EventReceiver, events: Sequence[Event]) -> None:
    for start in range(0, len(events), receiver.at_once):
        assert receiver.send(events[start : start + receiver.at_once]) == []


def test_what_is_taken_has_arrived_as_it_was(opened: Opened) -> None:
    opened.receiver.require()
    send_all(opened.receiver, EVENTS)
    assert opened.arrived() == [encode_event(event) for event in EVENTS]


def test_an_event_may_come_again(opened: Opened) -> None:
    opened.receiver.require()
    for _ in range(2):
        send_all(opened.receiver, EVENTS[:1])
    assert [json.loads(body)["id"] for body in opened.arrived()] == [EVENTS[0].id] * 2


def test_a_webhook_that_answers_anything_but_success_has_not_taken_it(tmp_path: Path) -> None:
    for status in (302, 400, 410, 500):
        for opened in webhook(tmp_path):
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
