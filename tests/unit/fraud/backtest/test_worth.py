"""Alerts are worked in the order of the loss that a look is expected to prevent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraud.backtest.costs import CostSheet, saved_in_cases
from fraud.backtest.worth import MUST_BE_SEEN, Worth, in_order, worths
from fraud.backtest.worth import worth_of as worth_of_alert
from fraud.decision.policy.evaluation import REVIEW

COSTS = CostSheet(review_minor=0)


def worth_of(alert: Mapping[str, Any]) -> Worth:
    return worth_of_alert(COSTS, alert)


alerts = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["review", "decline"]),
        "severity": st.integers(1, 100),
        "score": st.none() | st.floats(0, 1),
        "billing_amount_minor": st.integers(0, 10**9),
    }
)


@given(st.lists(alerts, max_size=12))
def test_one_alert_and_many_have_the_same_order(seen: list[dict[str, object]]) -> None:
    score = np.array([np.nan if one["score"] is None else one["score"] for one in seen], float)
    amount = np.array([one["billing_amount_minor"] for one in seen], float)
    outcome = np.array([1 if one["outcome"] == "review" else 2 for one in seen])
    order = in_order(worths(COSTS, outcome, np.array([one["severity"] for one in seen], int), score, amount)).tolist()
    single = [worth_of(one) for one in seen]
    assert [single[place] for place in order] == sorted(single, reverse=True)


@given(alerts, alerts)
def test_only_outcome_and_what_must_be_seen_come_before_money(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = sorted((one, other), key=worth_of, reverse=True)
    if first["outcome"] != second["outcome"]:
        assert first["outcome"] == "decline"
    elif max(int(str(each["severity"])) for each in (one, other)) < MUST_BE_SEEN:
        assert worth_of(first).prevented_minor >= worth_of(second).prevented_minor


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_the_budget_expects_to_save_what_the_queue_orders_by(score: float, amount: int) -> None:
    opens = np.array([True])
    lost, saved = (
        saved_in_cases(COSTS, np.array([REVIEW]), np.array([fraud]), np.array([float(amount)]), opens)[0]
        for fraud in (False, True)
    )
    alert = {"outcome": "review", "severity": 50, "score": score, "billing_amount_minor": amount}
    assert np.isclose(score * saved + (1 - score) * lost, worth_of(alert).prevented_minor)
