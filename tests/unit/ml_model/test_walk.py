"""Walking the trees for one row gives XGBoost's bits, or is not done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_model.boosting import xgb
from ml_model.predict import InProcessScorer
from ml_model.walk import Walk

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"


def trained(seed: int, **parameters: Any) -> xgb.Booster:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, 5)).astype(np.float32).round(1)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    fraud = (np.nan_to_num(rows[:, 0]) + rng.normal(size=400) > 1).astype(float)
    given = {"objective": "binary:logistic", "nthread": 1, "seed": seed, "base_score": 0.02 + 0.1 * seed} | parameters
    return xgb.train(given, xgb.DMatrix(rows, fraud), num_boost_round=20)


@pytest.mark.parametrize("booster", [trained(1), trained(2, max_depth=3), InProcessScorer.load(SHIPPED)._booster])
def test_every_bit_is_that_of_xgboost(booster: xgb.Booster) -> None:
    walk = Walk.of(booster)
    assert walk is not None
    rng = np.random.default_rng(3)
    rows = rng.normal(scale=50, size=(500, booster.num_features())).astype(np.float32).round(1)
    rows[rng.random(rows.shape) < 0.3] = np.nan
    assert [walk.margin(row) for row in rows.astype(np.float64)] == booster.inplace_predict(
        rows, predict_type="margin"
    ).tolist()


@pytest.mark.parametrize("parameters", [{"booster": "dart"}, {"objective": "reg:squarederror"}])
def test_other_kinds_of_models_are_left_to_xgboost(parameters: dict[str, Any]) -> None:
    assert Walk.of(trained(1, **parameters)) is None
