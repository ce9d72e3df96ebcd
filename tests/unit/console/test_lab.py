"""The lab: on this machine only, by leads, a few campaigns at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.files.ground_truth import Truth
from console.access import ForbiddenError, Role, User
from console.errors import ConflictError, NotFoundError
from console.services.job_window import JobWindow
from console.services.lab import Lab
from console.services.live import LiveBoard
from fraud.errors import MisconfiguredError
from fraud.settings import Aws
from fraud.settings import Console as ConsoleSettings
from tests.support.board_decisions import decisions
from tests.support.records import NOON, truth

LEAD = User("lea", Role.LEAD)
NOON_MS = int(NOON.timestamp() * 1000)


class Producer:
    def __init__(self) -> None:
        self.exit_code: int | None = None

    def interrupt(self) -> None:
        self.exit_code = 130

    def last_words(self) -> str:
        return "error: said last"


class Launcher:
    def __init__(self) -> None:
        self.campaigns = {"mule_ring": "Money runs in circles."}
        self.started: dict[str, tuple[Producer, Sequence[str]]] = {}

    def start(self, name: str, arguments: Sequence[str]) -> Producer:
        producer = Producer()
        self.started[name] = (producer, arguments)
        return producer


class Laboratory:
    def __init__(self) -> None:
        self.audit: list[tuple[str, ...]] = []
        self.launcher = Launcher()
        self.board = LiveBoard("EUR", lambda: NOON_MS, JobWindow(), {}, truth_known=True)
        self.lab = Lab(
            *local(), "EUR", self.launcher, self.board, lambda: NOON_MS, lambda *entry: self.audit.append(entry)
        )

    def run(self) -> dict[str, Any]:
        (run,) = self.lab.snapshot()["runs"]
        assert isinstance(run, dict)
        return run


def local(url: str | None = "http://127.0.0.1:4566", kinesis: str | None = None) -> tuple[Aws, ConsoleSettings]:
    console = ConsoleSettings(lab=True, ground_truth="/nowhere", lab_seed=7, lab_cards=500)
    return Aws(endpoint_url=url, kinesis_endpoint_url=kinesis), console


@pytest.mark.parametrize(
    ("url", "kinesis"),
    [
        (None, None),
        ("https://kinesis.eu-central-1.amazonaws.com", None),
        ("http://10.0.0.7:4566", None),
        ("http://127.0.0.1.example.com:4566", None),
        ("http://127.0.0.1:4566", "https://kinesis.eu-central-1.amazonaws.com"),
    ],
)
def test_there_is_no_lab_outside_of_this_machine(url: str | None, kinesis: str | None) -> None:
    board = LiveBoard("EUR", lambda: 0, JobWindow(), {}, truth_known=True)
    with pytest.raises(MisconfiguredError, match=r"console\.lab"):
        Lab(*local(url, kinesis), "EUR", Launcher(), board, lambda: 0, lambda *_: None)


def test_a_campaign_attacks_the_running_population_where_its_event_time_stands() -> None:
    made = Laboratory()
    hour = dt.timedelta(hours=1)
    made.board.decided(decisions({"event_time": NOON}))
    made.board.decided(decisions({"event_time": NOON + hour}, at=NOON + dt.timedelta(seconds=1)))
    name = made.lab.start(LEAD, "mule_ring", 2, "stream")
    arguments = made.launcher.started[name][1]
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (given["--attack"], given["--cases"], given["--seed"], given["--cards"]) == ("mule_ring", "2", "7", "500")
    assert float(given["--speed"]) == 3_600  # an hour of events within a second
    # an hour past noon, and four hours for the four seconds that the producer takes to start
    assert dt.datetime.fromisoformat(given["--start-time"]) == NOON + 5 * hour
    assert made.audit == [("lea", "start mule_ring", name)]


def test_only_leads_and_admins_start_and_stop() -> None:
    made = Laboratory()
    name = made.lab.start(LEAD, "mule_ring", 1, "hour")
    for role in (Role.VIEWER, Role.ANALYST):
        with pytest.raises(ForbiddenError):
            made.lab.start(User("ann", role), "mule_ring", 1, "hour")
        with pytest.raises(ForbiddenError):
            made.lab.stop(User("ann", role), name)
    assert made.run()["state"] == "running"
    made.lab.stop(User("ada", Role.ADMIN), name)
    assert made.run()["state"] == "stopped"


def test_unknown_campaigns_and_a_fourth_at_a_time_are_refused() -> None:
    made = Laboratory()
    with pytest.raises(NotFoundError):
        made.lab.start(LEAD, "; rm -rf /", 1, "hour")
    with pytest.raises(NotFoundError):
        made.lab.stop(LEAD, "lab-0")
    names = [made.lab.start(LEAD, "mule_ring", 1, "hour") for _ in range(3)]
    with pytest.raises(ConflictError):
        made.lab.start(LEAD, "mule_ring", 1, "hour")
    made.launcher.started[names[0]][0].exit_code = 0
    made.lab.start(LEAD, "mule_ring", 1, "hour")


def test_two_runs_never_begin_in_the_same_second() -> None:
    made = Laboratory()
    made.board.decided(decisions({"event_time": NOON}))
    names = [made.lab.start(LEAD, "mule_ring", 1, "stream") for _ in range(2)]
    first, second = (made.launcher.started[name][1] for name in names)
    assert first[first.index("--start-time") + 1] != second[second.index("--start-time") + 1]


def fraud(known: str) -> Truth:
    named = truth(transaction_id=known, card_token="k")
    return Truth(**named, is_fraud=True, campaign="mule_ring", case_id="mule_ring-1")


def test_a_run_is_followed_from_sending_to_what_it_cost() -> None:
    made = Laboratory()
    name = made.lab.start(LEAD, "mule_ring", 1, "hour")
    made.board.add_truth(name, [fraud(known) for known in ("a", "b", "c")])
    plain = {"card_token": "k", "billing_amount_minor": 500}
    made.board.decided(
        decisions(plain | {"transaction_id": "a"}, plain | {"transaction_id": "b", "outcome": "decline"})
    )
    made.lab.observe()
    made.lab.observe()
    run = made.run()
    assert (run["sent"], run["frauds"], run["alerted"]) == (3, 2, 1)
    assert (run["lost_minor"], run["saved_minor"]) == (1_000, 0)
    assert run["course"] == [(NOON_MS, 2, 1, 1_000, 0)]


def test_a_producer_that_fails_says_why() -> None:
    made = Laboratory()
    name = made.lab.start(LEAD, "mule_ring", 1, "hour")
    made.launcher.started[name][0].exit_code = 2
    assert (made.run()["state"], made.run()["failure"]) == ("failed", "error: said last")
