"""Trains gradient-boosted trees on a dataset, split by time, and calibrates them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from fraud.errors import MisconfiguredError
from fraud.features import catalogue_with, definition_hash
from ml_model.artifact import library_versions, version_of
from ml_model.boosting import xgb
from ml_model.calibration import fit_calibration, observed_days, shifted
from ml_model.dataset import Dataset
from ml_model.description import Calibration, Description

DAY_MS = 86_400_000
MIN_FRAUDS = 50
"""Known frauds below which a part of the data can neither teach nor measure."""


@dataclass(frozen=True)
class TrainingChoices:
    """What training is free to choose; the defaults are what `fraud train --trials 24` found on generated history.

    Attributes:
        trees: most trees; early stopping may end sooner.
        depth: of a tree.
        rate: learning rate.
        child_weight: least sum of second derivatives in a leaf; small, because fraud is rare.
        fraud_weight: how much more a fraud counts in training than a good transaction; the calibration takes it back.
        l2: penalty on leaf weights.
        bins: of the histograms.
        rows_share: of the rows that each tree sees.
        columns_share: of the features that each tree sees.
        patience: trees without better average precision after which training ends.
        seed: of every draw.
        maturity_days: transactions younger than this at the end of the data are left out: their labels are not in.
        burn_in_days: stretch at the start that is left out. By default none is: features say how long a card is
            observed, so the model learns from the first days how little they say.
        held_out: share of the mature time range that training does not see, at its end.
        delay_days: stretch before the held-out one that is left out: labels are that old when a model starts to work.
        expected_fraud_rate: where the model will run, if fraud is enriched in the data; None where it is not. Shifts
            the calibrated log-odds by the difference of the two rates (Elkan 2001).
    """

    trees: int = 300
    depth: int = 4
    rate: float = 0.106
    child_weight: float = 1.86
    fraud_weight: float = 1.27
    l2: float = 23.4
    bins: int = 512
    rows_share: float = 0.6
    columns_share: float = 0.5
    patience: int = 40
    seed: int = 7
    maturity_days: float = 21.0
    burn_in_days: float = 0.0
    held_out: float = 0.25
    delay_days: float = 7.0
    expected_fraud_rate: float | None = None

    def with_label_delay(self, days: float | None) -> TrainingChoices:
        """The choices for data whose labels are known after so many days; None leaves them as they are."""
        return self if days is None else dataclasses.replace(self, delay_days=days, maturity_days=days)


@dataclass(frozen=True)
class Split:
    """Two stretches of the same data, the label delay apart.

    Attributes:
        early: to train on.
        late: to stop the training early, and to measure and calibrate on.
    """

    early: Dataset
    late: Dataset


def split_at(data: Dataset, share: float, delay_days: float) -> Split:
    """Cuts data in time, and leaves features out that the early part never has, such as those of entities that are off.

    Args:
        data: in event order.
        share: of its time range that comes before the cut.
        delay_days: stretch before the cut that belongs to neither part.

    Raises:
        MisconfiguredError: too little known fraud in one of the parts.
    """
    cut = data.time_ms[0] + (data.time_ms[-1] - data.time_ms[0]) * share
    split = Split(data.take(data.time_ms <= cut - delay_days * DAY_MS), data.take(data.time_ms > cut))
    for name, part in (("early", split.early), ("late", split.late)):
        if part.known_fraud.sum() < MIN_FRAUDS:
            raise MisconfiguredError(
                "training data",
                f"{int(part.known_fraud.sum())} known frauds in the {name} part, needed: {MIN_FRAUDS}",
            )
    measured = ~np.all(np.isnan(split.early.features), axis=0)
    return Split(split.early.having(measured), split.late.having(measured))


def mature_part(data: Dataset, choices: TrainingChoices) -> Dataset:
    """What has a history and whose labels are in.

    Raises:
        MisconfiguredError: nothing.
    """
    known = data.time_ms <= data.time_ms[-1] - choices.maturity_days * DAY_MS
    mature = data.take(known & (data.time_ms >= data.time_ms[0] + choices.burn_in_days * DAY_MS))
    if not len(mature):
        raise MisconfiguredError(
            "training data",
            f"nothing is left after dropping the first {choices.burn_in_days:g} days (burn_in_days) and the "
            f"last {choices.maturity_days:g}, whose labels are not in yet",
        )
    return mature


def fit(split: Split, choices: TrainingChoices) -> xgb.Booster:
    """Trees trained on the early part, as many as rank the late part best."""
    booster = xgb.train(
        {
            "objective": "binary:logistic",
            "eval_metric": "aucpr",
            "tree_method": "hist",
            "max_bin": choices.bins,
            "max_depth": choices.depth,
            "eta": choices.rate,
            "min_child_weight": choices.child_weight,
            "scale_pos_weight": choices.fraud_weight,
            "lambda": choices.l2,
            "subsample": choices.rows_share,
            "colsample_bytree": choices.columns_share,
            "base_score": float(split.early.known_fraud.mean()),
            "seed": choices.seed,
            "nthread": 2,
        },
        _matrix(split.early),
        num_boost_round=choices.trees,
        evals=[(_matrix(split.late), "late")],
        early_stopping_rounds=choices.patience,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def log_odds_of(booster: xgb.Booster, data: Dataset) -> npt.NDArray[np.float32]:
    """The uncalibrated scores (n)."""
    raw: npt.NDArray[np.float32] = booster.predict(_matrix(data), output_margin=True)
    return raw


def train(
    data: Dataset,
    choices: TrainingChoices,
    progress: Callable[[str], None] = lambda _: None,
    calibrate_on: Dataset | None = None,
) -> tuple[bytes, Description]:
    """Trains a model.

    Args:
        data: in event order.
        choices: see `TrainingChoices`.
        progress: called with each line of progress.
        calibrate_on: other transactions, in event order, with as much fraud as where the model will run; None
            calibrates on the held-out part.

    Returns:
        The trees in XGBoost's binary JSON, and the description.

    Raises:
        MisconfiguredError: too little known fraud to learn from.
    """
    split = split_at(mature_part(data, choices), 1 - choices.held_out, choices.delay_days)
    early, late = split.early, split.late
    progress(f"training on {len(early):,} transactions, {int(early.known_fraud.sum()):,} known frauds")
    booster = fit(split, choices)
    raw = log_odds_of(booster, late)
    apart = late if calibrate_on is None else mature_part(calibrate_on, choices).of(early.names)
    calibration, measured = calibrated(booster, apart, choices.expected_fraud_rate if calibrate_on is None else None)
    trees = bytes(booster.save_raw("ubj"))
    metrics = {
        "average_precision": float(average_precision_score(late.known_fraud, raw)),
        "auc": float(roc_auc_score(late.known_fraud, raw)),
        "fraud_rate": float(late.known_fraud.mean()),
        "trees": float(booster.num_boosted_rounds()),
        **measured,
    }
    progress(f"held out: average precision {metrics['average_precision']:.3f}, AUC {metrics['auc']:.3f}")
    return trees, Description(
        version=version_of(trees, calibration),
        features=early.names,
        definition_hash=definition_hash(catalogue_with(data.declared).features_named(early.names)),
        calibration=calibration,
        trained_from=_rfc3339(early.time_ms[0]),
        trained_until=_rfc3339(early.time_ms[-1]),
        held_out_until=_rfc3339(late.time_ms[-1]),
        rows=len(early),
        frauds=int(early.known_fraud.sum()),
        choices={name: value for name, value in dataclasses.asdict(choices).items() if value is not None},
        metrics=metrics,
        libraries=library_versions(),
        data_sha256=data.sha256,
        declared=data.declared,
    )


def calibrated(
    booster: xgb.Booster, data: Dataset, expected_rate: float | None = None
) -> tuple[Calibration, dict[str, float]]:
    """The calibration on some transactions, and what is noted of it among the metrics.

    Args:
        booster: the trees.
        data: in event order, with the model's features.
        expected_rate: share of fraud where the model runs, if fraud is enriched in the data.

    Raises:
        MisconfiguredError: too little known fraud to calibrate on.
    """
    if data.known_fraud.sum() < MIN_FRAUDS:
        raise MisconfiguredError(
            "calibration data", f"{int(data.known_fraud.sum())} known frauds to calibrate on, needed: {MIN_FRAUDS}"
        )
    raw, observed = log_odds_of(booster, data), observed_days(data)
    fitted, rate = fit_calibration(raw, observed, data.known_fraud), float(data.known_fraud.mean())
    measured = {
        "brier": float(brier_score_loss(data.known_fraud, fitted.probability(raw, observed))),
        "calibration_frauds": float(data.known_fraud.sum()),
        "calibration_fraud_rate": rate,
    }
    return fitted if expected_rate is None else shifted(fitted, rate, expected_rate), measured


def recalibrated(
    trees: bytes, description: Description, data: Dataset, expected_rate: float | None = None
) -> Description:
    """The description of the same trees, calibrated again.

    Args:
        trees: in XGBoost's binary JSON.
        description: of the model as it is.
        data: in event order.
        expected_rate: share of fraud where the model runs, if fraud is enriched in the data.

    Raises:
        MisconfiguredError: too little known fraud to calibrate on.
    """
    booster = xgb.Booster(params={"nthread": 2})
    booster.load_model(bytearray(trees))
    calibration, measured = calibrated(booster, data.of(description.features), expected_rate)
    return description.model_copy(
        update={
            "version": version_of(trees, calibration),
            "calibration": calibration,
            "held_out_until": max(description.seen_until, _rfc3339(data.time_ms[-1])),
            "metrics": description.metrics | measured,
        }
    )


def _matrix(data: Dataset) -> xgb.DMatrix:
    return xgb.DMatrix(data.features, data.known_fraud, feature_names=list(data.names), nthread=2)


def _rfc3339(time_ms: np.int64) -> str:
    return dt.datetime.fromtimestamp(int(time_ms) / 1000, dt.UTC).isoformat(timespec="milliseconds")
