"""A receiver that fails is tried again, paused, shown and resumed; others and the outbox are not touched by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from adapters.archive.archive import Archive
from adapters.aws.backoff import Backoff
from adapters.events.outbox import Entry, OfList, Outbox, Reached, Reference
from adapters.objects.folder import FolderObjects
from adapters.program.metrics import EVENTS_DELIVERED, EVENTS_LAG_MS, EVENTS_PAUSED, EVENTS_RETRIES
from cli.main import build_app
from fraud.errors import MisconfiguredError, UnavailableError
from fraud.events.event import Event, trial
from operations.events.delivery import Delivery, Figures, Patience
from tests.support.webhooks import SECRET, Webhooks

NOON_MS = 1_768_478_400_000


def events_of(reference: Reference) -> list[Event]:
    """Two events of each change of a list."""
    assert isinstance(reference, OfList)
    return [trial(f"l{reference.number}", number, "bank") for number in (1, 2)]


class Scripted:
    """A receiver that takes what it is to take: `-` fails, `1` takes the first of a call alone, `+` takes all."""

    at_once = 3

    def __init__(self, script: str = "") -> None:
        self.script = list(script)
        self.got: list[str] = []

    def require(self) -> None:
        pass

    def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        step = self.script.pop(0) if self.script else "+"
        if step == "-":
            raise UnavailableError("x", "POST", "503", "down")
        taken = events[:1] if step == "1" else events
        self.got += [event.id for event in taken]
        return [(event, "busy") for event in events[len(taken) :]]


def four_attempts(first_s: float, longest_s: float, attempts: int | None = None, **options: Any) -> Backoff:
    return Backoff(first_s, longest_s, attempts=attempts or 4, **options)


class Bench:
    """A delivery on an outbox in a folder, with a clock of its own and pauses that end at once."""

    def __init__(self, folder: Path, receiver: Scripted, entries: int = 2) -> None:
        self.outbox = Outbox(Archive(FolderObjects(folder)))
        self.receiver = receiver
        self.now_s = NOON_MS / 1000
        self.figures: dict[str, float] = {}
        self.pauses: list[float] = []
        self.delivery = Delivery(
            "x",
            receiver,
            lambda event: event.id != "test-l2-1",
            self.outbox,
            events_of,
            Patience(600, 300),
            Figures(
                lambda metric, amount, _: self.figures.update({metric.name: self.figures.get(metric.name, 0) + amount}),
                lambda metric, value, _: self.figures.update({metric.name: value}),
            ),
            self._wait,
            lambda: self.now_s,
            four_attempts,
        )
        self.delivery.begin(True)
        for number in range(1, entries + 1):
            self.outbox.append(Entry(number, NOON_MS + number, Reached(), [OfList(number)]))

    def _wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return False


def ids(*places: str) -> list[str]:
    return [trial(f"l{place[0]}", int(place[-1]), "bank").id for place in places]


ALL = ids("1-1", "1-2", "2-2")
"""What is wanted of two entries."""


def test_what_is_wanted_is_delivered_in_order_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Scripted())
    assert bench.delivery.turn() == 3
    assert bench.receiver.got == ALL
    assert bench.figures == {EVENTS_DELIVERED.name: 3, EVENTS_LAG_MS.name: 0, EVENTS_PAUSED.name: 0}
    assert bench.delivery.turn() == 0


def test_what_was_not_taken_is_sent_again_alone_after_a_pause(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Scripted("-1+"))
    assert bench.delivery.turn() == 3
    assert bench.receiver.got == ALL
    assert bench.figures[EVENTS_RETRIES.name] == 2 + 1
    assert 0.25 <= bench.pauses[1] <= 0.5 <= bench.pauses[3] <= 1.0  # each after a look whether the program shall end


def test_a_dead_receiver_is_paused_with_the_reason_and_goes_on_by_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Scripted("+------"))
    assert bench.delivery.turn() == 2
    standing, _ = bench.outbox.standing("x")
    assert (standing.entry, standing.delivered, standing.paused_ms) == (1, 2, NOON_MS)
    assert standing.problem == "x POST: 503: down"
    assert (bench.figures[EVENTS_PAUSED.name], bench.figures[EVENTS_LAG_MS.name]) == (1, -2)
    assert len(bench.receiver.script) == 2
    bench.delivery.turn()
    assert len(bench.receiver.script) == 2  # it rests
    for _ in range(2):
        bench.now_s += 300
        bench.delivery.turn()
    assert (bench.receiver.script, bench.outbox.standing("x")[0].paused_ms) == ([], NOON_MS)
    bench.now_s += 300
    assert bench.delivery.turn() == 1
    standing, _ = bench.outbox.standing("x")
    assert (bench.receiver.got, standing.paused_ms, standing.problem, standing.entry) == (ALL, None, "", 2)
    assert bench.figures[EVENTS_PAUSED.name] == 0


def test_a_new_receiver_begins_with_the_end_or_the_first_entry(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Scripted())
    for from_first, entry in ((True, 0), (False, 2)):
        late = Delivery(
            f"late-{entry}", Scripted(), lambda _: True, bench.outbox, events_of, Patience(1, 1),
            Figures(lambda *_: None, lambda *_: None), lambda _: False,
        )  # fmt: skip
        late.begin(from_first)
        late.begin(not from_first)  # a later start changes nothing
        assert bench.outbox.standing(f"late-{entry}")[0].entry == entry


def fraud(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build_app(), [*arguments, "--config", str(folder / "settings.yaml")])


def write_settings(folder: Path, **receivers: dict[str, str]) -> None:
    given = {"archive": {"folder": str(folder / "archive")}, "events": {"receivers": receivers}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(given))


def test_a_replay_sends_again_from_a_time_and_ends_a_pause(tmp_path: Path) -> None:
    write_settings(tmp_path, x={"kind": "file", "address": "x"})
    bench = Bench(tmp_path / "archive", Scripted("+----"))
    bench.delivery.turn()
    shown = fraud(tmp_path, "receivers", "list").output
    assert "x: file x; all events; paused since 2026-01-15T12:00:00.000Z, 1 entries wait: x POST: 503: down" in shown
    done = fraud(tmp_path, "receivers", "replay", "x", "--since", "2026-01-15T12:00:00.002Z")
    assert done.output == "x gets what was collected after entry 1 of 2\n"
    assert bench.delivery.turn() == 1
    fraud(tmp_path, "receivers", "replay", "x", "--since", "2026-01-15T12:00:00Z")
    assert bench.delivery.turn() == 3
    assert bench.receiver.got == ALL + ALL
    assert "5 events delivered" not in fraud(tmp_path, "receivers", "list").output
    assert "6 events delivered" in fraud(tmp_path, "receivers", "list").output


def test_a_trial_arrives_and_its_secret_is_nowhere_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with Webhooks() as hook:
        place = {
            "kind": "webhook",
            "address": hook.url,
            "secret": f"file:{tmp_path / 'secret'}",
            "types": ["fraud.list.changed"],
        }
        write_settings(tmp_path, hook=place)  # type: ignore[arg-type]
        done = fraud(tmp_path, "receivers", "test", "hook")
        (identity,) = hook.bodies
    assert done.output == f"hook took the event {identity}\n"
    shown = fraud(tmp_path, "receivers", "list").output
    assert shown == f"hook: webhook {hook.url.removesuffix('/hook')}; types fraud.list.changed; not begun\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("receivers", "test", "y"), "events.receivers: has no y; it names x"),
        (("receivers", "replay", "y", "--since", "1h"), "events.receivers: has no y; it names x"),
        (("receivers", "replay", "x", "--since", "yesterday"), "--since yesterday: is no time"),
        (("events", "run", "--set", "events.receivers.x.kind=pigeon"), "events.receivers.x.kind"),
    ],
    ids=["test", "replay", "since", "kind"],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    write_settings(tmp_path, x={"kind": "file", "address": "x"})
    refused = fraud(tmp_path, *arguments).exception
    assert isinstance(refused, MisconfiguredError)
    assert str(refused).startswith(problem)
    assert refused.exit_code == 2


def test_a_start_without_receivers_is_refused(tmp_path: Path) -> None:
    write_settings(tmp_path)
    assert str(fraud(tmp_path, "events", "run").exception).startswith("events.receivers: names no receiver")
