"""Trains gradient-boosted trees on a dataset, split by time, and calibrates them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_NAMES, definition_hash, features_named
from ml_model.artifact import Calibration, Description, library_versions, version_of
from ml_model.dataset import Dataset

DAY_MS = 86_400_000
_LEAST_FRAUDS = 50


@dataclass(frozen=True)
class TrainingChoices:
    """What training is free to choose.

    Attributes:
        trees: most trees; early stopping may end sooner.
        depth: of a tree.
        rate: learning rate.
        child_weight: least sum of second derivatives in a leaf; small, because fraud is rare.
        bins: of the histograms.
        rows_share: of the rows that each tree sees.
        columns_share: of the features that each tree sees.
        patience: trees without better average precision after which training ends.
        seed: of every draw.
        maturity_days: transactions younger than this at the end of the data are left out: their labels are not in.
        burn_in_days: stretch at the start that is left out: cards and merchants have no history yet.
        held_out: share of the mature time range that training does not see, at its end.
        expected_fraud_rate: where the model will run, if fraud is enriched in the data; None where it is not. Shifts
            the calibrated log-odds by the difference of the two rates (Elkan 2001).
    """

    trees: int = 300
    depth: int = 5
    rate: float = 0.1
    child_weight: float = 1.0
    bins: int = 512
    rows_share: float = 0.8
    columns_share: float = 0.6
    patience: int = 40
    seed: int = 7
    maturity_days: float = 21.0
    burn_in_days: float = 30.0
    held_out: float = 0.25
    expected_fraud_rate: float | None = None


def train(
    data: Dataset, choices: TrainingChoices, tell: Callable[[str], None] = lambda _: None
) -> tuple[bytes, Description]:
    """Trains a model.

    Args:
        data: in event order.
        choices: see `TrainingChoices`.
        tell: is told the progress in lines.

    Returns:
        The trees in XGBoost's binary JSON, and the description.

    Raises:
        MisconfiguredError: too little known fraud to learn from.
    """
    known = data.time_ms <= data.time_ms[-1] - choices.maturity_days * DAY_MS
    mature = data.take(known & (data.time_ms >= data.time_ms[0] + choices.burn_in_days * DAY_MS))
    cut = mature.time_ms[0] + (mature.time_ms[-1] - mature.time_ms[0]) * (1 - choices.held_out)
    early, late = mature.take(mature.time_ms <= cut), mature.take(mature.time_ms > cut)
    for name, part in (("training", early), ("held-out", late)):
        if part.known_fraud.sum() < _LEAST_FRAUDS:
            raise MisconfiguredError(
                "training data",
                f"{int(part.known_fraud.sum())} known frauds in the {name} part, needed: {_LEAST_FRAUDS}",
            )
    # Features that the data never has, such as those of entities that are switched off, are no inputs.
    measured = ~np.all(np.isnan(early.features), axis=0)
    names = tuple(itertools.compress(FEATURE_NAMES, measured))
    early, late = (dataclasses.replace(part, features=part.features[:, measured]) for part in (early, late))
    tell(f"training on {len(early):,} transactions, {int(early.known_fraud.sum()):,} known frauds")
    booster = xgb.train(
        {
            "objective": "binary:logistic",
            "eval_metric": "aucpr",
            "tree_method": "hist",
            "max_bin": choices.bins,
            "max_depth": choices.depth,
            "eta": choices.rate,
            "min_child_weight": choices.child_weight,
            "subsample": choices.rows_share,
            "colsample_bytree": choices.columns_share,
            "base_score": float(early.known_fraud.mean()),
            "seed": choices.seed,
            "nthread": 2,
        },
        _matrix(early, names),
        num_boost_round=choices.trees,
        evals=[(_matrix(late, names), "held_out")],
        early_stopping_rounds=choices.patience,
        verbose_eval=False,
    )
    booster = booster[: booster.best_iteration + 1]
    raw = booster.predict(_matrix(late, names), output_margin=True)
    calibration = _calibrate(raw, late.known_fraud, choices.expected_fraud_rate)
    trees = bytes(booster.save_raw("ubj"))
    metrics = {
        "average_precision": float(average_precision_score(late.known_fraud, raw)),
        "auc": float(roc_auc_score(late.known_fraud, raw)),
        "fraud_rate": float(late.known_fraud.mean()),
        "trees": float(booster.num_boosted_rounds()),
    }
    tell(f"held out: average precision {metrics['average_precision']:.3f}, AUC {metrics['auc']:.3f}")
    return trees, Description(
        version=version_of(trees, calibration),
        features=names,
        definition_hash=definition_hash(features_named(names)),
        calibration=calibration,
        trained_from=_rfc3339(early.time_ms[0]),
        trained_until=_rfc3339(early.time_ms[-1]),
        held_out_until=_rfc3339(late.time_ms[-1]),
        rows=len(early),
        frauds=int(early.known_fraud.sum()),
        metrics=metrics,
        libraries=library_versions(),
    )


def _matrix(data: Dataset, names: Sequence[str]) -> xgb.DMatrix:
    return xgb.DMatrix(data.features, data.known_fraud, feature_names=list(names), nthread=2)


def _calibrate(raw: npt.NDArray[np.float32], fraud: npt.NDArray[np.bool_], expected_rate: float | None) -> Calibration:
    fitted = LogisticRegression(C=1e6).fit(raw.reshape(-1, 1), fraud)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if expected_rate is not None:
        intercept += _log_odds(expected_rate) - _log_odds(float(fraud.mean()))
    return Calibration(slope=max(slope, 1e-3), intercept=intercept)


def _log_odds(rate: float) -> float:
    return float(np.log(rate / (1 - rate)))


def _rfc3339(time_ms: np.int64) -> str:
    return dt.datetime.fromtimestamp(int(time_ms) / 1000, dt.UTC).isoformat(timespec="milliseconds")
