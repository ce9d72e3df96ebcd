"""What a campaign cost, against the ground truth."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pytest

from adapters.files.ground_truth import Truth
from console.services.campaign_score import CampaignScores
from tests.support.board_decisions import decisions
from tests.support.records import NOON, truth


def fraud(name: str, case: str = "c-1", card: str = "k-1") -> Truth:
    given = truth(transaction_id=name, card_token=card, is_fraud=True, campaign="card_testing", case_id=case)
    return Truth(**given)


def paid(name: str, minor: int, outcome: str = "approve", card: str = "k-1") -> dict[str, object]:
    return {"transaction_id": name, "billing_amount_minor": minor, "outcome": outcome, "card_token": card}


def test_money_is_lost_up_to_the_first_alert_of_the_card_and_saved_after_it() -> None:
    scores = CampaignScores()
    scores.add_truth("demo", [*(fraud(name) for name in "abc"), fraud("d", card="k-2")])
    scores.decided(
        decisions(paid("a", 100), paid("b", 200, "review"), paid("c", 400, "decline"), paid("d", 800, card="k-2"))
    )
    figures = scores.by_campaign()["card_testing"].figures()
    # Card k-1: a and b are lost, as b's alert comes after its authorisation; c is saved. Card k-2 is never found.
    assert (figures["lost_minor"], figures["saved_minor"]) == (100 + 200 + 800, 400)
    assert (figures["frauds"], figures["alerted"], figures["cards"], figures["cards_found"]) == (4, 2, 2, 1)


def test_an_alert_in_one_case_saves_nothing_in_another_of_the_same_card() -> None:
    scores = CampaignScores()
    scores.add_truth("demo", [fraud("a"), fraud("b", "c-2")])
    scores.decided(decisions(paid("a", 100, "decline"), paid("b", 200)))
    assert scores.by_campaign()["card_testing"].saved_minor == 0


@pytest.mark.parametrize("order", list(permutations(["truth a", "truth b", "decision a", "decision b"])))
def test_truth_and_decisions_may_come_in_any_order(order: tuple[str, ...]) -> None:
    scores = CampaignScores()
    for step in order:
        what, name = step.split()
        if what == "truth":
            scores.add_truth("demo", [fraud(name)])
        else:
            scores.decided(decisions(paid(name, 100, "decline")))
    assert scores.of_producer("demo").figures()["alerted"] == 2


def test_genuine_transactions_count_for_no_campaign() -> None:
    scores = CampaignScores()
    scores.add_truth("demo", [Truth(**truth(transaction_id="a"))])
    scores.decided(decisions(paid("a", 100, "decline")))
    assert scores.by_campaign() == {}
    assert scores.learned_from["demo"] == 1


def test_time_to_first_detection_is_from_the_first_sent_to_the_first_alert() -> None:
    scores = CampaignScores()
    scores.add_truth("lab", [fraud("a"), fraud("b"), fraud("c")])
    for second, row in enumerate([paid("a", 1), paid("b", 1, "review"), paid("c", 1, "review")], 1):
        sent = {"sent_at": NOON + dt.timedelta(seconds=second - 1)}
        scores.decided(decisions(row | sent, at=NOON + dt.timedelta(seconds=second)))
    # a was sent at noon, b's alert stood two seconds later
    assert scores.of_producer("lab").figures()["first_detection_ms"] == 2_000
    assert scores.of_producer("demo").figures()["first_detection_ms"] is None


def test_time_to_detect_is_between_recorded_arrivals_and_the_median_of_the_cases_found() -> None:
    scores = CampaignScores()
    scores.add_truth("demo", [fraud(name, f"c-{name[0]}") for name in ("a1", "a2", "b1", "c1", "c2", "d1")])
    alerts = {"a2": 60, "b1": 0, "c2": 10}  # minutes after the case began, by the recorded clock
    for name in ("a1", "b1", "c1", "d1", "a2", "c2"):
        arrived = NOON + dt.timedelta(minutes=alerts.get(name, 0))
        outcome = "review" if name in alerts else "approve"
        scores.decided(decisions(paid(name, 1, outcome) | {"recorded_arrival": arrived}, at=NOON))
    # found after 60, 0 and 10 minutes; d never
    assert scores.of_producer("demo").figures()["detection_ms"] == 10 * 60_000


def test_of_two_cards_with_one_transaction_id_each_has_its_own_truth() -> None:
    scores = CampaignScores()
    scores.add_truth("demo", [fraud("a"), Truth(**truth(transaction_id="a", card_token="k-2"))])
    scores.decided(decisions(paid("a", 100), paid("a", 400, "decline", card="k-2")))
    figures = scores.by_campaign()["card_testing"].figures()
    assert (figures["frauds"], figures["alerted"], figures["lost_minor"]) == (1, 0, 100)


def test_an_id_that_comes_again_for_its_card_is_another_transaction() -> None:
    scores, next_day = CampaignScores(), NOON + dt.timedelta(days=1, minutes=1)
    scores.add_truth("demo", [fraud("a"), Truth(**truth(transaction_id="a", card_token="k-1", event_time=next_day))])
    scores.decided(decisions(paid("a", 400, "decline") | {"event_time": next_day}, paid("a", 100)))
    figures = scores.by_campaign()["card_testing"].figures()
    assert (figures["frauds"], figures["alerted"], figures["lost_minor"]) == (1, 0, 100)
