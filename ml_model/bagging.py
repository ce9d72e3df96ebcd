"""Small averaged ensembles for evaluation on little data, and the published baseline."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from adapters.files.text_files import read_model
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES
from ml_model.boosting import xgb
from ml_model.handbook import Fit, Predict


class Choices(BaseModel):
    """Frozen choices of a protocol; see `config/model/handbook.yaml`.

    Attributes:
        features: names in the catalogue, in the order of the matrix.
        seeds: models that are averaged, each with draws of its own.
        trees: of each model.
        depth: of a tree.
        rate: learning rate.
        child_weight: least sum of second derivatives in a leaf; small, because fraud is rare.
        rows_share: of the rows that each tree sees.
        columns_share: of the features that each tree sees.
        l2: penalty on leaf weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...]
    seeds: int
    trees: int
    depth: int
    rate: float
    child_weight: float
    rows_share: float
    columns_share: float
    l2: float


def load_choices(file: Path) -> Choices:
    """Reads choices.

    Raises:
        MisconfiguredError: the file is missing or malformed, or names a feature that the catalogue does not have.
    """
    choices = read_model(file, Choices)
    if unknown := sorted(set(choices.features) - set(FEATURE_NAMES)):
        raise MisconfiguredError(f"{file}: features", f"not in the catalogue: {', '.join(unknown)}")
    return choices


def bagging(choices: Choices) -> Fit:
    """Training of several models that differ by their seed; the score is their mean probability."""

    def fit(features: npt.NDArray[np.float32], fraud: npt.NDArray[np.bool_]) -> Predict:
        def train(seed: int) -> xgb.Booster:
            # A matrix of its own for each: exact splits sort it lazily, which threads must not do together.
            return xgb.train(_parameters(choices, seed), xgb.DMatrix(features, fraud), choices.trees)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            boosters = list(pool.map(train, range(choices.seeds)))
        return lambda rows: np.mean([booster.inplace_predict(rows) for booster in boosters], axis=0)

    return fit


def baseline(features: npt.NDArray[np.float32], fraud: npt.NDArray[np.bool_]) -> Predict:
    """XGBoost as the handbook's authors chose it: 50 trees, depth 3, rate .3, exact splits."""
    parameters = {"objective": "binary:logistic", "tree_method": "exact", "max_depth": 3, "eta": 0.3, "base_score": 0.5}
    booster = xgb.train(parameters, xgb.DMatrix(features, fraud), 50)
    return lambda rows: np.asarray(booster.predict(xgb.DMatrix(rows)), np.float64)


def _parameters(choices: Choices, seed: int) -> dict[str, object]:
    return {
        "objective": "binary:logistic",
        "tree_method": "exact",
        "max_depth": choices.depth,
        "eta": choices.rate,
        "min_child_weight": choices.child_weight,
        "subsample": choices.rows_share,
        "colsample_bytree": choices.columns_share,
        "lambda": choices.l2,
        "base_score": 0.5,
        "seed": seed,
        "nthread": 1,
    }
