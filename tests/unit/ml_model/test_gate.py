"""The gate lets a better model through and says why it stops another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fraud.backtest.costs import CostSheet
from fraud.settings import Retraining
from ml_model.gate import Comparison, Worth, compare
from ml_model.metrics import DAY_MS, Coded, ScoredCases

ROWS = 4_000
COSTS = CostSheet(review_minor=400)


def scored(skill: float, seed: int = 1, amount_minor: int = 20_000) -> ScoredCases:
    """The same transactions each time, four a card; the higher the skill, the better the score separates fraud."""
    truth = np.random.default_rng(0)
    fraud = truth.random(ROWS) < 0.05
    card = np.arange(ROWS) // 4
    log_odds = np.random.default_rng(seed).normal(0, 1, ROWS) + skill * fraud - 3
    none = np.zeros(ROWS, np.int64)
    time_ms = np.linspace(0, 10 * DAY_MS, ROWS).astype(np.int64)
    amount = np.full(ROWS, amount_minor)
    return ScoredCases(1 / (1 + np.exp(-log_odds)), fraud, card, time_ms, amount, amount * 1.0, Coded(none, ("",)), {})


def comparison(champion: ScoredCases, challenger: ScoredCases, share: float = 1.0) -> Comparison:
    return compare(champion, challenger, COSTS, 100, np.random.default_rng(3), share)


def test_a_better_challenger_wins() -> None:
    found = comparison(scored(1.0), scored(3.0, seed=2))
    assert found.gain.average_precision > found.low.average_precision > 0.1
    assert found.gain.saved_minor_per_day > 0
    assert found.objections(Retraining(), "EUR") == []


def test_a_worse_challenger_is_stopped() -> None:
    found = comparison(scored(3.0), scored(1.0, seed=2))
    margin, money = found.objections(Retraining(), "EUR")
    assert margin.endswith("not the margin of 0.01 (retraining.margin)")
    assert money.startswith("saves EUR ")


def test_the_gain_is_the_difference_of_what_each_is_worth() -> None:
    champion, challenger = scored(1.0), scored(3.0, seed=2)
    found = comparison(champion, challenger)
    for cases, worth in ((champion, found.champion), (challenger, found.challenger)):
        assert worth.average_precision == pytest.approx(average_precision_score(cases.fraud, cases.score))
        reviewed = cases.score * 20_000 > 400
        saved = 20_000 * (reviewed & cases.fraud).sum() - 400 * reviewed.sum()
        assert worth.saved_minor_per_day == pytest.approx(saved / 10)
    assert found.gain == pytest.approx(np.subtract(found.challenger, found.champion))


def test_the_order_of_the_rows_is_of_no_importance() -> None:
    champion, challenger = scored(1.0), scored(3.0, seed=2)
    turned = challenger.take(np.argsort(-challenger.score))
    one, other = comparison(champion, challenger), comparison(champion, turned)
    assert np.allclose([one.gain, one.low, one.high], [other.gain, other.low, other.high])


def test_the_same_model_twice_gains_nothing_in_any_draw() -> None:
    found = comparison(scored(2.0), scored(2.0))
    assert found.gain == found.low == found.high == Worth(0.0, 0.0)
    assert found.objections(Retraining(margin=0), "EUR") == [
        "gains +0.0000 average precision, not the margin of 0 (retraining.margin)"
    ]


def test_a_gain_that_may_be_chance_is_stopped() -> None:
    found = Comparison(Worth(0.5, 10), Worth(0.53, 10), gain=Worth(0.03, 0), low=Worth(-0.01, -5), high=Worth(0.07, 5))
    (objection,) = found.objections(Retraining(margin=0.02), "EUR")
    assert objection == "95% of draws gain between -0.0100 and +0.0700 average precision: it may be chance"


def test_a_better_ranking_that_loses_money_is_stopped() -> None:
    gain = Worth(0.03, -1_250)
    found = Comparison(Worth(0.5, 0), Worth(0.53, 0), gain=gain, low=Worth(0.02, -2_000), high=Worth(0.04, -500))
    assert found.objections(Retraining(), "EUR") == ["saves EUR 12.50 a day less"]


def test_money_of_a_sample_counts_for_the_whole() -> None:
    whole, half = comparison(scored(1.0), scored(2.0)), comparison(scored(1.0), scored(2.0), share=0.5)
    assert half.gain.saved_minor_per_day == pytest.approx(2 * whole.gain.saved_minor_per_day)
    assert half.gain.average_precision == whole.gain.average_precision


def test_draws_take_cards_whole() -> None:
    # All transactions on one card: every draw is the whole, so nothing varies.
    champion, challenger = (
        dataclasses.replace(cases, card=np.zeros(ROWS, np.int64)) for cases in (scored(1.0), scored(2.0, seed=2))
    )
    found = comparison(champion, challenger)
    assert found.low == pytest.approx(found.gain) == found.high


def test_models_of_the_same_skill_seldom_replace_each_other() -> None:
    promoted = 0
    for seed in range(1, 21):
        found = compare(scored(2.0, seed), scored(2.0, seed + 100), COSTS, 60, np.random.default_rng(seed))
        promoted += not found.objections(Retraining(margin=0), "EUR")
    assert promoted <= 3  # one is to be expected; more than three of twenty at one in twenty is a chance of 1.6 %
