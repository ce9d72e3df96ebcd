"""Contributions are Shapley values of the path-dependent game, and XGBoost's: over drawn trees and the shipped ones."""

from __future__ import annotations

import json
from itertools import combinations, pairwise
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraud.decision.decide import decide
from fraud.decision.reasons import MODEL_REASONS
from fraud.records import Row
from ml_model.boosting import xgb
from ml_model.predict import InProcessScorer
from ml_model.walk import Walk
from tests.support.decisions import policy as compiled
from tests.support.model_features import random_features
from tests.support.records import NOON

SHIPPED = Path("config/model/champion")
FEATURES = 4
SINGLE = 1e-5
"""How exactly XGBoost computes in single precision, relative; what is left of large sums is a tenth of it of these."""

Singles = npt.NDArray[np.float32]


def drawn_rows(seed: int, rows: int, features: int = FEATURES) -> Singles:
    """Values of which many are equal, and a fifth missing."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(rows, features)).astype(np.float32).round(1)
    drawn[rng.random(drawn.shape) < 0.2] = np.nan
    return drawn


def trained(seed: int, depth: int, trees: int, grow: str = "depthwise", gamma: float = 0.0) -> xgb.Booster:
    """Trees that ask for few features again and again; pruned where `gamma` says so."""
    rows = drawn_rows(seed, 400)
    noise = np.random.default_rng(seed).normal(size=400)
    fraud = np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1], nan=1.0) + noise > 1
    choices = {"max_depth": depth, "grow_policy": grow, "gamma": gamma, "seed": seed, "min_child_weight": 0.1}
    return xgb.train(
        {"objective": "binary:logistic", "nthread": 1, **choices}, xgb.DMatrix(rows, fraud), num_boost_round=trees
    )


def walk_of(booster: xgb.Booster) -> Walk:
    walk = Walk.of(booster)
    assert walk is not None
    return walk


def assert_as_xgboost(booster: xgb.Booster, rows: Singles) -> None:
    found = walk_of(booster).contributions(rows)
    wanted = booster.predict(xgb.DMatrix(rows), pred_contribs=True, validate_features=False)
    rounding = 0.1 * SINGLE * np.abs(wanted).max(axis=1)
    assert (np.abs(found - wanted) <= SINGLE * np.abs(wanted) + rounding[:, None]).all()
    margins = booster.inplace_predict(rows, predict_type="margin")
    assert (np.abs(found.sum(axis=1) - margins) <= SINGLE * np.abs(margins) + rounding).all()


@settings(max_examples=25, deadline=None)
@example(1, 1, 1, "depthwise", 0.0)
@example(2, 8, 30, "lossguide", 0.5)
@given(
    seed=st.integers(0, 1_000),
    depth=st.integers(1, 8),
    trees=st.integers(1, 30),
    grow=st.sampled_from(["depthwise", "lossguide"]),
    gamma=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_contributions_are_those_of_xgboost(seed: int, depth: int, trees: int, grow: str, gamma: float) -> None:
    assert_as_xgboost(trained(seed, depth, trees, grow, gamma), drawn_rows(seed + 1, 40))


def expected(tree: dict[str, Any], row: Singles, known: frozenset[int], node: int = 0) -> float:
    """The leaf that a row reaches of which only some features are known, as Lundberg et al. write it (Algorithm 1)."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return float(np.float32(tree["split_conditions"][node]))
    if (feature := tree["split_indices"][node]) in known:
        value, limit = row[feature], np.float32(tree["split_conditions"][node])
        goes_left = tree["default_left"][node] if np.isnan(value) else value < limit
        return expected(tree, row, known, left if goes_left else right)
    weights = [tree["sum_hessian"][each] / tree["sum_hessian"][node] for each in (left, right)]
    return float(sum(w * expected(tree, row, known, each) for w, each in zip(weights, (left, right), strict=True)))


def by_definition(booster: xgb.Booster, row: Singles) -> list[float]:
    """Shapley values from all coalitions of features."""
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    coalitions = [frozenset(c) for size in range(FEATURES + 1) for c in combinations(range(FEATURES), size)]
    worth = {known: sum(expected(tree, row, known) for tree in trees) for known in coalitions}
    weight = [factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES) for size in range(FEATURES)]
    return [
        sum(weight[len(c)] * (worth[c | {feature}] - worth[c]) for c in coalitions if feature not in c)
        for feature in range(FEATURES)
    ]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 6))
def test_contributions_are_shapley_values_by_their_definition(seed: int, depth: int) -> None:
    booster, rows = trained(seed, depth, trees=2), drawn_rows(seed + 1, 4)
    found = walk_of(booster).contributions(rows)[:, :-1]
    assert found == pytest.approx(np.array([by_definition(booster, row) for row in rows]), rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def shipped() -> InProcessScorer:
    return InProcessScorer.load(SHIPPED)


def test_the_shipped_models_contributions_are_those_of_xgboost(shipped: InProcessScorer) -> None:
    assert_as_xgboost(shipped._booster, shipped._matrix(random_features(200)))


class ByXGBoost(InProcessScorer):
    """The same model without the walk."""

    _walk = None


def test_reasons_are_those_that_xgboost_gives(shipped: InProcessScorer) -> None:
    policy = compiled(thresholds={"review": 1e-9, "decline": 0.9})
    by_xgboost, compared = ByXGBoost(shipped._booster, shipped.description), 0
    for values in random_features(60).to_pylist():
        row = Row(values, event_time=NOON)
        sizes = [abs(moved.log_odds) for moved in shipped.explain(row)[0][:12]]
        if any(one - other <= SINGLE * sizes[0] for one, other in pairwise(sizes)):
            continue  # too close for single precision to say which is larger
        compared += 1
        found, wanted = decide(row, shipped, policy), decide(row, by_xgboost, policy)
        assert (found["reason_codes"], found["reasons"]) == (wanted["reason_codes"], wanted["reasons"])
        assert len(found["reasons"]) == MODEL_REASONS + 1
    assert compared > 50


def test_a_batch_is_explained_as_its_rows_are(shipped: InProcessScorer) -> None:
    rows = shipped._matrix(random_features(30))
    walk = walk_of(shipped._booster)
    assert np.array_equal(walk.contributions(rows), np.concatenate([walk.contributions(row[None]) for row in rows]))
