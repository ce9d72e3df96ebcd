"""What a campaign cost, against the ground truth."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pytest

from adapters.ground_truth import Truth
from console.services.campaign_score import CampaignScores
from tests.support.board_decisions import decisions
from tests.support.records import NOON


def fraud(name: str, case: str = "c-1") -> Truth:
    return Truth(name, is_fraud=True, campaign="card_testing", case_id=case)


def paid(name: str, minor: int, outcome: str = "approve", card: str = "k-1") -> dict[str, object]:
    return {"transaction_id": name, "billing_amount_minor": minor, "outcome": outcome, "card_token": card}


def test_money_is_lost_up_to_the_first_alert_of_the_card_and_saved_after_it() -> None:
    scores = CampaignScores()
    scores.told("demo", [fraud(name) for name in "abcd"])
    scores.decided(
        decisions(paid("a", 100), paid("b", 200, "review"), paid("c", 400, "decline"), paid("d", 800, card="k-2"))
    )
    figures = scores.by_campaign()["card_testing"].figures()
    # Card k-1: a and b are lost, as b's alert comes after its authorisation; c is saved. Card k-2 is never found.
    assert (figures["lost_minor"], figures["saved_minor"]) == (100 + 200 + 800, 400)
    assert (figures["frauds"], figures["alerted"], figures["cards"], figures["cards_found"]) == (4, 2, 2, 1)


def test_an_alert_in_one_case_saves_nothing_in_another_of_the_same_card() -> None:
    scores = CampaignScores()
    scores.told("demo", [fraud("a"), fraud("b", "c-2")])
    scores.decided(decisions(paid("a", 100, "decline"), paid("b", 200)))
    assert scores.by_campaign()["card_testing"].saved_minor == 0


@pytest.mark.parametrize("order", list(permutations(["truth a", "truth b", "decision a", "decision b"])))
def test_truth_and_decisions_may_come_in_any_order(order: tuple[str, ...]) -> None:
    scores = CampaignScores()
    for step in order:
        what, name = step.split()
        if what == "truth":
            scores.told("demo", [fraud(name)])
        else:
            scores.decided(decisions(paid(name, 100, "decline")))
    assert scores.of_producer("demo").figures()["alerted"] == 2


def test_genuine_transactions_count_for_no_campaign() -> None:
    scores = CampaignScores()
    scores.told("demo", [Truth("a")])
    scores.decided(decisions(paid("a", 100, "decline")))
    assert scores.by_campaign() == {}
    assert scores.told_by["demo"] == 1


def test_time_to_first_detection_is_from_the_first_sent_to_the_first_alert() -> None:
    scores = CampaignScores()
    scores.told("lab", [fraud("a"), fraud("b"), fraud("c")])
    for second, row in enumerate([paid("a", 1), paid("b", 1, "review"), paid("c", 1, "review")], 1):
        sent = {"sent_at": NOON + dt.timedelta(seconds=second - 1)}
        scores.decided(decisions(row | sent, at=NOON + dt.timedelta(seconds=second)))
    # a was sent at noon, b's alert stood two seconds later
    assert scores.of_producer("lab").figures()["first_detection_ms"] == 2_000
    assert scores.of_producer("demo").figures()["first_detection_ms"] is None
