"""The queue of backtests, over a folder, with work that a test speaks for."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.objects.folder import FolderObjects
from adapters.policy.backtests import StoredBacktests
from console.access import ForbiddenError, Role, User
from console.errors import ConflictError, NotFoundError
from console.services.backtests import MOST_OPEN, STALE_MS, BacktestDesk

ANN, BOB, LEAD = User("ann", Role.ANALYST), User("bob", Role.ANALYST), User("lea", Role.LEAD)
WAIT_S = 30.0


class Spoken:
    """Work whose messages a test says."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.stopped: queue.Queue[None] = queue.Queue()

    def say(self, **message: Any) -> None:
        self.lines.put(json.dumps(message))

    def messages(self) -> Iterator[str]:
        while (line := self.lines.get()) is not None:
            yield line

    def exit_code(self) -> int:
        return 7

    def stop(self) -> None:
        self.lines.put(None)
        self.stopped.put(None)


class Desks:
    """Consoles over one folder, with a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ms = 1_000_000
        self.begun: queue.Queue[Spoken] = queue.Queue()
        self.audit: list[tuple[str, ...]] = []

    def desk(self) -> BacktestDesk:
        def launch(request: dict[str, Any]) -> Spoken:
            work = Spoken(request)
            self.begun.put(work)
            return work

        runs = StoredBacktests(FolderObjects(self.folder))
        return BacktestDesk(runs, launch, json.loads, lambda: self.now_ms, lambda *entry: self.audit.append(entry))


@pytest.fixture
def desks(tmp_path: Path) -> Desks:
    return Desks(tmp_path)


def ended(desk: BacktestDesk, name: str, work: Spoken) -> dict[str, Any]:
    work.stopped.get(timeout=WAIT_S)
    return desk.outcome(ANN, name)


def test_runs_are_worked_off_in_turn_with_progress_and_an_estimate(desks: Desks) -> None:
    desk = desks.desk()
    first = desk.start(ANN, "backtest", "one", {"of": 1})["job_id"]
    work = desks.begun.get(timeout=WAIT_S)
    desks.now_ms += 1
    second = desk.start(BOB, "backtest", "two", {"of": 2})["job_id"]
    assert desk.outcome(ANN, second)["before_it"] == 1
    desks.now_ms += 10_000
    work.say(done=250, total=1_000)
    work.say(result={"decisions": 1_000})
    found = ended(desk, first, work)
    assert (found["state"], found["done"], found["result"]) == ("done", 1_000, {"decisions": 1_000})
    other = desks.begun.get(timeout=WAIT_S)
    assert other.request == {"of": 2}
    other.say(error="nothing there")
    assert ended(desk, second, other)["error"] == "nothing there"
    assert [(run["title"], run["state"]) for run in desk.shown(ANN)] == [("two", "failed"), ("one", "done")]


def test_an_estimate_follows_from_what_was_done(desks: Desks) -> None:
    desk = desks.desk()
    name = desk.start(ANN, "backtest", "one", {})["job_id"]
    work = desks.begun.get(timeout=WAIT_S)
    desks.now_ms += 10_000
    work.say(done=250, total=1_000)
    while not (run := desk.outcome(ANN, name))["total"]:
        pass
    assert run["left_ms"] == 30_000  # 250 in ten seconds, 750 to go
    desk.cancel(ANN, name)
    work.stopped.get(timeout=WAIT_S)


def test_a_cancelled_run_ends_its_process_and_a_waiting_one_never_begins(desks: Desks) -> None:
    desk = desks.desk()
    running = desk.start(ANN, "backtest", "one", {})["job_id"]
    work = desks.begun.get(timeout=WAIT_S)
    desks.now_ms += 1
    waiting = desk.start(ANN, "backtest", "two", {})["job_id"]
    with pytest.raises(ForbiddenError):
        desk.cancel(BOB, waiting)
    desk.cancel(LEAD, waiting)
    desk.cancel(ANN, running)
    assert ended(desk, running, work)["state"] == "cancelled"
    assert desk.outcome(ANN, waiting)["error"] == "lea cancelled it"
    assert desks.begun.empty()
    assert [entry[:2] for entry in desks.audit] == [("lea", "cancel backtest"), ("ann", "cancel backtest")]
    with pytest.raises(ConflictError):
        desk.cancel(ANN, running)
    with pytest.raises(NotFoundError):
        desk.cancel(ANN, "../../elsewhere")


def test_a_process_that_dies_fails_its_run(desks: Desks) -> None:
    desk = desks.desk()
    name = desk.start(ANN, "backtest", "one", {})["job_id"]
    work = desks.begun.get(timeout=WAIT_S)
    work.lines.put(None)
    assert ended(desk, name, work)["error"] == "its process ended with exit code 7"


def test_history_and_queue_outlive_the_console_and_what_ran_is_begun_again(desks: Desks) -> None:
    former = desks.desk()
    name = former.start(ANN, "backtest", "one", {"of": 1})["job_id"]
    lost = desks.begun.get(timeout=WAIT_S)  # of a console that will say nothing more
    later = desks.desk()
    later.turn()
    assert [run["state"] for run in later.shown(BOB)] == ["running"]
    desks.now_ms += STALE_MS
    while desks.begun.empty():
        later.turn()
    again = desks.begun.get(timeout=WAIT_S)
    assert again.request == {"of": 1}
    lost.say(result={"decisions": 1})  # too late
    lost.stopped.get(timeout=WAIT_S)
    again.say(result={"decisions": 2})
    assert ended(later, name, again)["result"] == {"decisions": 2}


def test_nobody_fills_the_queue(desks: Desks) -> None:
    desk = desks.desk()
    for _ in range(MOST_OPEN):
        desks.now_ms += 1
        desk.start(ANN, "backtest", "one", {})
    with pytest.raises(ConflictError, match="cancel"):
        desk.start(ANN, "backtest", "one", {})
    desk.start(BOB, "backtest", "his", {})
    for run in desk.shown(LEAD):
        desk.cancel(LEAD, run["job_id"])
    desks.begun.get(timeout=WAIT_S).stopped.get(timeout=WAIT_S)
