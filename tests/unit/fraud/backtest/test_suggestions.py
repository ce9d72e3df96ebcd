from __future__ import annotations

from typing import Any

import pytest

from fraud.backtest.costs import CostSheet
from fraud.backtest.suggestions import suggestions
from tests.support.decisions import policy, rule

COSTS = CostSheet(review_minor=400, card_minor=15_000, loss_share=1, review_catches=1)
"""A true case is worth 5,000 of amount and 15,000 of the card: looking pays from 400 / 20,000 = 2 % on."""


def found(rule_id: str, **figures: Any) -> dict[str, Any]:
    """What rule and budget tallies say of a rule."""
    plain = {"fired": 100, "overlap": 0.2, "nearest_rule": None, "alone": 80, "state": "live"}
    return {"rule": rule_id} | plain | figures


def cases(rule_id: str, cases: int, true: int) -> dict[str, Any]:
    return {"rule": rule_id, "cases": cases, "true_cases": true, "only_cases": cases, "only_true_cases": true}


def report(*rules: dict[str, Any], budget: dict[str, Any] | None) -> dict[str, Any]:
    live = {"caught": 10, "missed": 10, "caught_minor": 60_000, "missed_minor": 40_000}
    known = {"costs": COSTS.model_dump(), "variants": {"live": live}, "base_currency": "EUR"}
    return known | {"rules": list(rules), "budget": budget}


def budget(
    *rules: dict[str, Any], review: float | None = 0.1, between: tuple[float | None, float | None] = (0.05, 0.2)
) -> dict[str, Any]:
    limits = {"default": {"review": review, "decline": None}}
    ranges = {"default": {"review": list(between), "decline": [None, None]}}
    figures = {"reviews_per_day": 5.0, "saved_minor_per_day": 1_000.0, "days": 30.0}
    return figures | {"rules": list(rules), "thresholds": limits, "range": {"thresholds": ranges}}


def test_a_rule_is_noisy_where_surely_too_few_of_its_cases_are_true() -> None:
    asked = policy(
        rules=[
            rule("sure", "billing_amount_minor > 1"),
            rule("unsure", "billing_amount_minor > 2"),
            rule("good", "billing_amount_minor > 3"),
        ]
    )
    # 0 of 400 is at most 1 %, below 2 %; 0 of 100 may be 3.7 %; 40 of 400 pay.
    rows = [cases("sure", 400, 0), cases("unsure", 100, 0), cases("good", 400, 40)]
    (noisy,) = suggestions(report(budget=budget(*rows, between=(0.05, None))), asked)
    assert (noisy["kind"], noisy["edit"]) == ("noisy", {"kind": "state", "rule": "sure", "state": "shadow"})
    assert "0 of its 400 cases are fraud; at EUR 4.00 a review it pays from 2.0% on" in noisy["why"]


@pytest.mark.parametrize("purpose", ["hygiene", "regulation"])
def test_what_the_law_asks_for_is_never_in_question(purpose: str) -> None:
    asked = policy(rules=[rule("asked", "billing_amount_minor > 1", purpose=purpose)])
    rows = budget(cases("asked", 400, 0), between=(0.05, None))
    assert len(suggestions(report(budget=rows), asked)) == (purpose == "hygiene")


def test_of_two_rules_that_repeat_each_other_the_rarer_one_goes() -> None:
    asked = policy(rules=[rule("one", "billing_amount_minor > 1"), rule("other", "billing_amount_minor > 2")])
    rows = [
        found("one", fired=100, nearest_rule="other", overlap=0.96),
        found("other", fired=96, nearest_rule="one", overlap=1.0, alone=0),
    ]
    (overlapping,) = suggestions(report(*rows, budget=None), asked)
    assert (overlapping["kind"], overlapping["edit"]["rule"]) == ("overlapping", "other")
    assert "100% of its 96 hits are hits of one" in overlapping["why"]


def test_a_rule_that_asks_for_more_than_the_one_it_overlaps_stays() -> None:
    asked = policy(
        rules=[rule("weak", "billing_amount_minor > 1"), rule("strong", "billing_amount_minor > 2", outcome="decline")]
    )
    rows = [found("strong", fired=50, nearest_rule="weak", overlap=1.0), found("weak", fired=500)]
    assert suggestions(report(*rows, budget=None), asked) == []


def test_thresholds_move_where_the_redraws_leave_no_doubt() -> None:
    standing = policy(thresholds={"review": 0.3})
    (moved,) = suggestions(report(budget=budget(review=0.1, between=(0.05, 0.2))), standing)
    assert moved["edit"] == {"kind": "thresholds", "thresholds": {"default": {"review": 0.1, "decline": None}}}
    assert "default: review from 0.3000 to 0.1000" in moved["title"]
    assert suggestions(report(budget=budget(review=0.1, between=(0.05, 0.4))), standing) == []
