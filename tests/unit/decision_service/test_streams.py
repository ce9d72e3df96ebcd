"""The follower goes on after what passes, and ends with its cause named after what does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from adapters.aws.stream_writer import StreamRecord
from decision_service.journal import Journal
from decision_service.streams import Arrived, Follower, Shipper, in_words
from fraud.errors import FatalError, UnavailableError
from tests.support.decision_services import Client, World

_SOON_S = 60.0
BUSY = UnavailableError("kinesis", "GetRecords", "ThroughputExceeded", "scripted")


class Scripted:
    """Raises what it was made with, one after the other, and then has nothing."""

    def __init__(self, *failures: BaseException, before: Callable[[], object] = lambda: None) -> None:
        self.failures = list(failures)
        self.emptied = threading.Event()
        self._before = before

    def read(self) -> Sequence[Arrived]:
        """See `decision_service.streams.In`."""
        self._before()
        if self.failures:
            raise self.failures.pop(0)
        self.emptied.set()
        return []


def followed(source: Scripted, hand_on: Callable[[Sequence[Arrived]], None] = lambda _: None) -> list[BaseException]:
    """Follows until nothing is left or it ends; why it ended."""
    why: list[BaseException] = []

    def ended(error: BaseException) -> None:
        why.append(error)
        source.emptied.set()

    follower = Follower(source.read, hand_on, 0.0, ended)
    follower.start()
    assert source.emptied.wait(_SOON_S)
    follower.close()
    return why


def test_a_call_that_fails_is_made_again() -> None:
    assert followed(Scripted(BUSY, BUSY)) == []


@pytest.mark.parametrize("failure", [FatalError("records are lost"), CancelledError(), ZeroDivisionError("by zero")])
def test_after_anything_else_it_ends_and_says_why(failure: BaseException) -> None:
    assert followed(Scripted(BUSY, failure)) == [failure]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (FatalError("records are lost"), "records are lost"),
        (CancelledError(), "CancelledError"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_an_error_is_never_without_words(failure: BaseException, said: str) -> None:
    assert in_words(failure) == said


class LastMoment(Journal):
    """A journal whose last entry becomes durable, and whose service ends, just as nothing was found to be put."""

    then: Callable[[], object]

    def wait_beyond(self, place: int, timeout_s: float) -> bool:
        found = super().wait_beyond(place, 0.0 if self.end == 0 else timeout_s)
        if self.end == 0:
            durable = threading.Event()
            self.append(b'{"transaction": {"card_token": "c"}}', lambda _: durable.set())
            assert durable.wait(_SOON_S)
            self.then()
        return found


def test_what_becomes_durable_at_the_last_moment_is_put(tmp_path: Path) -> None:
    journal, put = LastMoment(tmp_path / "journal"), list[StreamRecord]()
    shipper = Shipper(journal, put.extend, tmp_path / "shipped")
    ended = threading.Event()

    def end() -> None:
        ending = threading.Thread(target=shipper.close, args=(0.0,))
        ending.start()
        ending.join()
        ended.set()

    journal.then = end
    shipper.start()
    assert ended.wait(_SOON_S)
    shipper.close(_SOON_S)
    journal.close()
    assert [record.key for record in put] == ["c"]


def test_a_service_that_cannot_follow_is_not_ready_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, ended = World(tmp_path), threading.Event()
    monkeypatch.setattr("os.kill", lambda *_: ended.set())
    world.source = Scripted(FatalError("records are lost")).read

    async def work(client: Client) -> tuple[int, str]:
        await asyncio.to_thread(ended.wait, _SOON_S)
        return (await client.ask("GET", "/ready", scope=None)).status, client.service.failure_in_words

    assert world.run(work) == (503, "records are lost")


def test_it_stops_following_before_the_loop_ends(tmp_path: Path) -> None:
    world, reading, let_go = World(tmp_path), threading.Event(), threading.Event()
    ends: list[BaseException | None] = []

    def before() -> None:
        reading.set()
        let_go.wait(_SOON_S)

    world.source = Scripted(before=before).read

    async def work(client: Client) -> None:
        await asyncio.to_thread(reading.wait, _SOON_S)
        ending = asyncio.create_task(client.service.end())
        let_go.set()
        await ending
        ends.append(client.service.failure)

    world.run(work)
    assert ends == [None]
