"""Figures of a model, by hand on a few cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fraud.backtest.costs import CostSheet
from ml_model.metrics import (
    DAY_MS,
    Coded,
    ScoredCases,
    alerting,
    bootstrap,
    found_cards,
    headline,
    reliability,
    resampled,
    slices,
    threshold_at_budget,
    threshold_at_fpr,
    worth_a_review,
)


def scored_cases(
    score: list[float],
    fraud: list[int],
    card: list[int] | None = None,
    day: list[float] | None = None,
    amount_minor: list[int] | None = None,
    observed_days: list[float] | None = None,
) -> ScoredCases:
    n = len(score)
    return ScoredCases(
        np.array(score),
        np.array(fraud, bool),
        np.array(card or range(n), np.int64),
        (np.array(day or [0.0] * n) * DAY_MS).astype(np.int64),
        np.array(amount_minor or [10_000] * n, np.int64),
        np.array(observed_days or [100.0] * n),
        Coded(np.zeros(n, np.int64), ("card_testing",)),
        {"channel": Coded(np.arange(n) % 2, ("pos", "ecommerce"))},
    )


def test_ranking_figures() -> None:
    # by score: fraud, good, fraud, good; of the 4 pairs of a fraud and a good one, 3 are in order
    figures = headline(scored_cases([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]))
    assert figures["auc"] == 0.75
    assert figures["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert figures["brier"] == pytest.approx((0.01 + 0.64 + 0.09 + 0.01) / 4)
    assert figures["recall_at_fpr_0.01"] == 0.5  # the first good transaction would be 50 % of them
    assert figures["card_precision_at_10"] == 2 / 10


def test_threshold_keeps_the_false_positive_rate() -> None:
    cases = scored_cases([0.9, 0.8, 0.7, 0.6, 0.1], [1, 0, 1, 0, 0])
    assert threshold_at_fpr(cases, 0.34) == 0.7  # 1 of 3 good ones above


def test_budget_counts_the_alerts_of_an_average_day() -> None:
    cases = scored_cases([0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5, day=[0, 0, 0, 1, 2])
    assert threshold_at_budget(cases, 1) == 0.8  # 2 alerts in 2 days
    assert threshold_at_budget(cases, 0.4) == float("inf")


def test_money_saved_is_what_alerts_prevent_less_their_reviews() -> None:
    cases = scored_cases([0.9, 0.8, 0.2], [1, 0, 1], day=[0, 1, 2], amount_minor=[10_000, 500, 30_000])
    figures = alerting(cases, cases.score >= 0.5, CostSheet(review_minor=400, review_catches=0.5))
    assert figures == {
        "alerts_per_day": 1.0,
        "precision": 0.5,
        "recall": 0.5,
        "recall_by_money": 0.25,
        "saved_minor_per_day": (5_000 - 400 - 400) / 2,
    }


def test_nothing_alerted_has_no_precision() -> None:
    cases = scored_cases([0.9], [0])
    assert alerting(cases, np.array([False]), CostSheet())["precision"] is None


def test_a_card_is_found_by_an_alert_on_a_fraud_and_in_time_by_one_on_the_first_two() -> None:
    # card 0 is found half a day later, on its second fraud; card 1 a day later, on its third; card 2 never; 3 is good
    cases = scored_cases(
        [0.1, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9],
        [1, 1, 1, 1, 1, 1, 0],
        card=[0, 0, 1, 1, 1, 2, 3],
        day=[0, 0.5, 3, 3.1, 4, 5, 6],
    )

    figures = found_cards(cases, cases.score >= 0.5)

    # of the cases, two are found of card 0 on day 0, card 1 on days 3 and 4, card 2 on day 5
    assert figures == {"recall_by_card": 2 / 3, "cards_in_time": 1 / 3, "recall_by_case": 0.5, "hours_to_detect": 18.0}


def test_how_soon_nothing_is_found_is_not_known() -> None:
    missed = scored_cases([0.1, 0.2], [1, 0])
    assert found_cards(missed, missed.score > 0.5)["hours_to_detect"] is None
    good = scored_cases([0.1, 0.2], [0, 0])
    assert set(found_cards(good, good.score > 0.1).values()) == {None}


def test_a_review_is_worth_it_where_it_prevents_more_than_it_costs() -> None:
    cases = scored_cases([0.5, 0.01, 0.5], [0, 0, 0], amount_minor=[1_000, 10_000, 300])
    assert worth_a_review(cases, CostSheet(review_minor=400)).tolist() == [True, False, False]


def test_reliability_compares_score_and_truth_in_each_bin() -> None:
    bins = reliability(scored_cases([0.0001, 0.5, 0.7, 0.9], [0, 0, 1, 1]))
    assert bins["0.3 to 1"] == {"cases": 3, "mean_score": pytest.approx(0.7), "fraud_rate": pytest.approx(2 / 3)}
    assert list(bins) == ["0 to 0.0003", "0.3 to 1"]


def test_parts_add_up_and_a_campaign_is_ranked_against_all_good_ones() -> None:
    cases = scored_cases([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], day=[0, 0, 4, 4], amount_minor=[999, 1_000, 200_000, 5])
    parts = slices(cases, 0.75)
    assert {name: part["cases"] for name, part in parts["channel"].items()} == {"pos": 2, "ecommerce": 2}
    assert {name: part["cases"] for name, part in parts["amount_minor"].items()} == {
        "0 to 1000": 2,
        "1000 to 5000": 1,
        "from 100000": 1,
    }
    # 1970-01-01 was a Thursday; four days later is the next Monday
    assert {name: part["cases"] for name, part in parts["week"].items()} == {"1969-12-29": 2, "1970-01-05": 2}
    assert parts["campaign"]["card_testing"] == {
        "cases": 4,
        "frauds": 2,
        "auc": 0.75,
        "average_precision": pytest.approx(5 / 6),
        "recall": 0.5,
        "precision": 0.5,
        "calibration": pytest.approx(2.5 / 2),
    }


def test_calibration_is_reported_by_how_long_cards_were_observed() -> None:
    cases = scored_cases([0.9, 0.6, 0.5, 0.1, 0.2], [1, 0, 1, 0, 0], observed_days=[0.0, 0.9, 20.0, 29.9, math.nan])

    parts = slices(cases, 0.75)["card_observed_days"]

    # 0.9 + 0.6 said for one fraud of young cards, 0.5 + 0.1 for one of older ones
    assert {name: part["calibration"] for name, part in parts.items()} == {
        "not known": None,
        "0 to 1": pytest.approx(1.5),
        "15 to 30": pytest.approx(0.6),
    }


def test_a_draw_takes_cards_whole_and_keeps_copies_apart() -> None:
    cases = scored_cases([0.1, 0.2, 0.3, 0.4, 0.5], [0, 1, 0, 1, 0], card=[0, 1, 1, 2, 2])
    drawn = resampled(cases, np.random.default_rng(4))
    whole = {(0.1,), (0.2, 0.3), (0.4, 0.5)}
    found = [tuple(drawn.score[drawn.card == card].tolist()) for card in np.unique(drawn.card)]
    assert len(found) == 3
    assert set(found) <= whole
    assert len(set(found)) < 3, "this seed draws a card twice"


def test_interval_of_the_bootstrap_is_that_of_the_binomial() -> None:
    # 400 cards with one transaction each, 25 % fraud: the share's standard deviation is sqrt(.25 * .75 / 400) = .0217
    cases = scored_cases([0.5] * 400, [1, 0, 0, 0] * 100)

    def share(drawn: ScoredCases) -> dict[str, float]:
        return {"share": float(drawn.fraud.mean())}

    low, high = bootstrap(cases, share, 400, np.random.default_rng(1))["share"]["interval"]
    assert (low, high) == pytest.approx((0.25 - 1.645 * 0.0217, 0.25 + 1.645 * 0.0217), abs=0.008)


def test_figures_that_are_not_there_have_no_interval() -> None:
    def nothing(drawn: ScoredCases) -> dict[str, dict[str, float | None]]:
        return {"part": {"auc": None}}

    again = bootstrap(scored_cases([0.9, 0.1], [1, 0]), nothing, 3, np.random.default_rng(1))
    assert again == {"part": {"auc": {"value": None, "interval": None}}}
