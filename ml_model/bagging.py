"""Small averaged ensembles for evaluation on little data, and the published baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import xgboost as xgb
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fraud.errors import MisconfiguredError
from ml_model.handbook import Fit, Predict


class Choices(BaseModel):
    """Frozen choices of a protocol; see `config/model/handbook.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: int
    trees: int
    depth: int
    rate: float
    child_weight: float
    bins: int
    rows_share: float
    columns_share: float
    l2: float


def load_choices(file: Path) -> Fit:
    """Reads choices and gives the training that they describe.

    Raises:
        MisconfiguredError: the file is missing or malformed.
    """
    try:
        choices = Choices.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise MisconfiguredError(str(file), " ".join(str(error).split())) from None

    def fit(features: npt.NDArray[np.float32], fraud: npt.NDArray[np.bool_]) -> Predict:
        matrix = xgb.QuantileDMatrix(features, fraud, max_bin=choices.bins)
        boosters = [xgb.train(_parameters(choices, seed), matrix, choices.trees) for seed in range(choices.seeds)]
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
        "tree_method": "hist",
        "max_bin": choices.bins,
        "max_depth": choices.depth,
        "eta": choices.rate,
        "min_child_weight": choices.child_weight,
        "subsample": choices.rows_share,
        "colsample_bytree": choices.columns_share,
        "lambda": choices.l2,
        "base_score": 0.5,
        "seed": seed,
        "nthread": 2,
    }
