"""The evaluation protocol of the Fraud-Detection-Handbook (Le Borgne et al. 2022), for any file in its format.

Training week, a week of label delay, test week. Cards known as compromised are left out of each test day: those with a
fraud in the training week, and those with a fraud between its end and eight days before that day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from ml_model.metrics import DAY_MS, Floats, card_precision, standard_error

WEEK_DAYS = 7
TOP_CARDS = 100

Predict = Callable[[npt.NDArray[np.float32]], Floats]
"""From features to scores."""

Fit = Callable[[npt.NDArray[np.float32], npt.NDArray[np.bool_]], Predict]
"""Trains on features and labels."""


@dataclass(frozen=True)
class LabelledFeatures:
    """Transactions in event order.

    Attributes:
        features: (n, f) float32.
        fraud: the truth (n).
        card: number of the card (n).
        time_ms: event time (n).
    """

    features: npt.NDArray[np.float32]
    fraud: npt.NDArray[np.bool_]
    card: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold: training week and test week."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def folds(data: LabelledFeatures, first_training_week_ms: int, count: int) -> Iterator[Fold]:
    """Folds whose training weeks follow each other.

    Args:
        data: all transactions.
        first_training_week_ms: start of the first training week, midnight UTC.
        count: number of folds.
    """
    for number in range(count):
        start = first_training_week_ms + number * WEEK_DAYS * DAY_MS
        yield Fold(_between(data, start, WEEK_DAYS), np.concatenate(list(_test_days(data, start))))


def _test_days(data: LabelledFeatures, start_ms: int) -> Iterator[npt.NDArray[np.int64]]:
    known = set(_compromised(data, _between(data, start_ms, WEEK_DAYS)))
    for day in range(WEEK_DAYS):
        labelled_ms = start_ms + (WEEK_DAYS + day - 1) * DAY_MS
        known.update(_compromised(data, _between(data, labelled_ms, 1)))
        rows = _between(data, labelled_ms + (WEEK_DAYS + 1) * DAY_MS, 1)
        yield rows[~np.isin(data.card[rows], list(known))]


def _between(data: LabelledFeatures, start_ms: int, days: int) -> npt.NDArray[np.int64]:
    first, last = np.searchsorted(data.time_ms, [start_ms, start_ms + days * DAY_MS])
    return np.arange(first, last)


def _compromised(data: LabelledFeatures, rows: npt.NDArray[np.int64]) -> list[int]:
    return [int(card) for card in data.card[rows][data.fraud[rows]]]


def evaluate(data: LabelledFeatures, chosen: Sequence[Fold], fit: Fit) -> list[dict[str, float]]:
    """Trains and scores every fold.

    Returns:
        For each fold ROC AUC, average precision and card precision at 100.
    """
    results = []
    for fold in chosen:
        predict = fit(data.features[fold.train], data.fraud[fold.train])
        score, fraud = predict(data.features[fold.test]), data.fraud[fold.test]
        results.append(
            {
                "auc": float(roc_auc_score(fraud, score)),
                "ap": float(average_precision_score(fraud, score)),
                "cp100": card_precision(
                    score, fraud, data.card[fold.test], data.time_ms[fold.test] // DAY_MS, TOP_CARDS
                ),
            }
        )
    return results


def mean_of(results: Sequence[dict[str, float]]) -> dict[str, float]:
    """The prequential mean of the folds."""
    return {name: float(np.mean([result[name] for result in results])) for name in results[0]}


def error_of(results: Sequence[dict[str, float]]) -> dict[str, float]:
    """The standard error of that mean, as of folds that are independent; NaN of a single one."""
    return {name: float(standard_error([result[name] for result in results])) for name in results[0]}
