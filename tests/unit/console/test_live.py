"""The Live page's figures, from decisions of known seconds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from adapters.files.ground_truth import Truth
from adapters.program import metrics
from adapters.program.job_metrics import parse
from adapters.program.telemetry import Telemetry
from console.access import Role, User
from console.services.job_window import JobWindow
from console.services.live import LiveBoard, Paused
from console.services.reach import Reach, Watched
from fraud.decision.key import Subject
from tests.support.board_decisions import decisions
from tests.support.records import NOON, truth

ANN = User("ann", Role.ANALYST)
NOON_MS = int(NOON.timestamp() * 1000)


class Clock:
    def __init__(self) -> None:
        self.ms = NOON_MS

    def __call__(self) -> int:
        return self.ms


class Live:
    def __init__(self, truth_known: bool = False) -> None:
        self.clock, self.job = Clock(), JobWindow()
        reaches = {"archive": lambda: Reach(True, NOON_MS)}
        self.board = LiveBoard("EUR", self.clock, self.job, reaches, truth_known)

    def decide(self, second: int, *rows: dict[str, Any], latency_ms: int = 100) -> None:
        at = NOON + dt.timedelta(seconds=second)
        sent = {"sent_at": at - dt.timedelta(milliseconds=latency_ms)}
        self.board.decided(decisions(*(sent | row for row in rows), at=at))

    def figures(self, second: int, user: User = ANN) -> dict[str, Any]:
        self.clock.ms = NOON_MS + second * 1000
        return self.board.snapshot(user)


def test_rates_are_of_the_last_ten_seconds_that_have_settled() -> None:
    live = Live()
    for second in range(20):
        live.decide(second, *[{} for _ in range(9)], {"outcome": "review"})
    figures = live.figures(20)
    assert (figures["tx_per_s"], figures["alerts_per_s"]) == (10, 1)
    assert live.figures(25)["tx_per_s"] == 10 * 7 / 10  # of the seconds 13 to 22 those up to 19 had decisions
    assert live.figures(60)["tx_per_s"] == 0


def test_latency_is_that_of_the_last_minute() -> None:
    live = Live()
    live.decide(0, {}, latency_ms=60_000)
    live.decide(100, *[{}] * 98, latency_ms=500)
    live.decide(101, *[{}] * 2, latency_ms=4_000)
    figures = live.figures(103)
    assert figures["latency_p50_ms"] == pytest.approx(500, rel=0.05)
    assert figures["latency_p99_ms"] == pytest.approx(4_000, rel=0.05)
    assert live.figures(300)["latency_p50_ms"] is None


def test_outcomes_and_money_at_risk_are_of_the_window() -> None:
    live = Live()
    live.decide(0, {"outcome": "decline", "billing_amount_minor": 1})
    live.decide(
        700, {}, {"outcome": "review", "billing_amount_minor": 20}, {"outcome": "decline", "billing_amount_minor": 300}
    )
    figures = live.figures(701)
    assert figures["outcomes"] == {"approve": 1, "review": 1, "decline": 1}
    assert figures["at_risk_minor"] == 320
    assert figures["last_decided_ms"] == NOON_MS + 700_000
    assert figures["as_of_ms"] is None
    live.board.looked(NOON_MS + 701_000)
    assert live.figures(702)["as_of_ms"] == NOON_MS + 701_000


def test_series_has_a_point_for_every_five_seconds() -> None:
    live = Live()
    live.decide(0, *[{}] * 10)
    series = live.figures(12)["series"]
    assert len({len(values) for values in series.values()}) == 1
    found = dict(zip(series["at_ms"], series["tx_per_s"], strict=True))
    assert found[NOON_MS + 5_000] == 2  # ten decisions in five seconds
    assert found[NOON_MS + 10_000] == 0


def test_newest_alerts_come_first_and_hide_the_card_from_viewers() -> None:
    live = Live()
    token = "token-of-card-1234"
    live.decide(0, {"transaction_id": "old", "outcome": "review"})
    live.decide(1, {"transaction_id": "new", "outcome": "decline", "card_token": token}, {"transaction_id": "fine"})
    alerts = live.figures(2)["alerts"]
    assert [alert["transaction_id"] for alert in alerts] == ["new", "old"]
    assert alerts[0]["key"] == Subject(token, "new", NOON_MS).key
    assert alerts[0]["card_token"] == token
    hidden = live.figures(2, User("vic", Role.VIEWER))
    assert hidden["alerts"][0]["card_token"] == "…1234"
    assert token not in repr(hidden)


def test_campaigns_are_shown_only_where_somebody_knows_the_truth() -> None:
    for known in (True, False):
        live = Live(known)
        live.board.add_truth("demo", [Truth(**truth(is_fraud=True, campaign="mule_ring"))])
        live.decide(0, {"transaction_id": "t-1"})
        campaigns = live.figures(1)["campaigns"]
        assert [one["campaign"] for one in campaigns] == (["mule_ring"] if known else [])


def test_no_event_time_moves_the_clock_and_a_recorded_arrival_stands_for_the_arrival() -> None:
    live = Live()
    live.decide(0, {"event_time": NOON.replace(year=2099), "arrival_ms": NOON_MS})
    assert live.board.event_time() == (NOON_MS, 1.0)
    live.decide(1, {"arrival_ms": NOON_MS + 1_000, "recorded_arrival": NOON + dt.timedelta(hours=1)})
    assert live.board.event_time() == (NOON_MS + 3_600_000, 3_600.0)


def test_event_time_and_its_pace_follow_the_stream() -> None:
    live = Live()
    assert live.board.event_time() == (NOON_MS, 1.0)
    live.decide(-60, {"event_time": NOON - dt.timedelta(days=60)})  # a history that ran faster
    live.decide(0, {"event_time": NOON})
    live.decide(10, {"event_time": NOON + dt.timedelta(hours=10)})
    assert live.board.event_time() == (NOON_MS + 36_000_000, 3_600.0)


def test_lag_and_time_to_the_alert_come_from_the_job() -> None:
    live = Live()
    telemetry = Telemetry()
    telemetry.set(metrics.SOURCE_LAG_MS, 120, "transactions", "shard-0")
    telemetry.set(metrics.SOURCE_LAG_MS, 450, "transactions", "shard-1")
    telemetry.observe(metrics.EVENT_TO_ALERT_S, metrics.EVENT_TO_ALERT_S.count([0.55] * 10), 5.5)
    live.job.take(parse(Telemetry().exposition().decode(), NOON_MS))
    live.job.take(parse(telemetry.exposition().decode(), NOON_MS + 60_000))
    figures = live.figures(60)
    assert figures["lag_ms"] == 450
    assert 500 <= figures["to_alert_p50_ms"] <= 600  # its bucket


def test_a_source_that_fails_is_shown_since_when_and_recovers() -> None:
    clock, failing = Clock(), True

    def look() -> None:
        if failing:
            raise ConnectionError("refused")

    watched = Watched("archive", look, clock)
    assert watched.reach == Reach(None, NOON_MS)
    clock.ms += 1_000
    watched()
    clock.ms += 1_000
    watched()
    assert watched.reach == Reach(False, NOON_MS + 1_000)
    failing = False
    watched()
    assert watched.reach == Reach(True, NOON_MS + 2_000)


def test_a_look_that_is_late_leaves_the_figures_of_its_time_and_claims_no_silence() -> None:
    live = Live()
    for second in range(20):
        live.decide(second, *[{}] * 10)
    live.board.looked(NOON_MS + 20_000)
    figures = live.figures(80)
    assert (figures["tx_per_s"], figures["as_of_ms"]) == (10, NOON_MS + 20_000)
    assert figures["series"]["at_ms"][-1] == NOON_MS + 15_000  # whole steps up to two seconds before the look


def test_what_a_new_query_decides_until_it_has_caught_up_is_in_no_rate_latency_or_chart() -> None:
    live = Live()
    live.decide(0, *[{"batch_id": 0}] * 500, latency_ms=24_000)
    live.decide(5, *[{"batch_id": 2}] * 500, latency_ms=9_000)
    warming = live.figures(8)
    assert warming["warming_up"]
    assert (warming["tx_per_s"], warming["latency_p99_ms"]) == (0, None)
    assert set(warming["series"]["tx_per_s"]) == {0}
    assert warming["outcomes"]["approve"] == 1_000  # they were decided all the same
    live.decide(10, *[{"batch_id": 3}] * 20, latency_ms=900)
    live.decide(11, *[{"batch_id": 4}] * 20, latency_ms=9_000)  # from now on slowness is shown
    figures = live.figures(14)
    assert not figures["warming_up"]
    assert figures["tx_per_s"] == 40 / 10
    assert figures["latency_p99_ms"] == pytest.approx(9_000, rel=0.05)


def test_a_query_that_goes_on_hides_nothing_of_its_backlog() -> None:
    live = Live()
    live.decide(0, *[{"batch_id": 812}] * 20, latency_ms=24_000)
    assert live.figures(2)["latency_p50_ms"] == pytest.approx(24_000, rel=0.05)


def test_answers_in_the_call_have_a_latency_of_their_own() -> None:
    live = Live()
    at = NOON + dt.timedelta(seconds=1)
    answered = {"answered_by": "decide-0", "received_at": at - dt.timedelta(milliseconds=4)}
    live.decide(1, *[answered] * 9, {}, latency_ms=700)
    figures = live.figures(4)
    assert figures["answers"] == 9
    assert figures["answer_p50_ms"] == pytest.approx(4, rel=0.05)
    assert figures["latency_p50_ms"] == pytest.approx(700, rel=0.05)
    assert live.figures(100)["answers"] == 0


def test_paused_receivers_are_shown_and_to_viewers_without_what_they_said() -> None:
    paused = [Paused("siem", NOON_MS, "HTTP 503 for card tok-1")]
    board = LiveBoard("EUR", Clock(), JobWindow(), {}, truth_known=False, paused=lambda: paused)
    assert board.snapshot(ANN)["paused"] == [
        {"receiver": "siem", "since_ms": NOON_MS, "problem": "HTTP 503 for card tok-1"}
    ]
    assert "tok-1" not in repr(board.snapshot(User("vic", Role.VIEWER)))
