"""Fits what turns raw scores into probabilities: of known truth, by how long the card had been observed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from fraud.entities import CARD
from ml_model.dataset import Dataset
from ml_model.description import Calibration, newness

MIN_FRAUDS = 50
"""Known frauds below which there is too little to calibrate on."""

_FREE = 1e3
"""By so much slope and intercept of all are less held back than what a new card has beyond them, which is held to 0 as
by a normal distribution of deviation 1: with few frauds of new cards, one calibration for all is the better guess."""


def fit_calibration(
    raw: npt.NDArray[np.floating],
    observed_days: npt.NDArray[np.floating],
    fraud: npt.NDArray[np.bool_],
) -> Calibration:
    """The calibration that makes the truth most likely.

    Args:
        raw: scores in log-odds (n).
        observed_days: for how long the card of each had been observed, NaN where that is not known (n).
        fraud: the truth (n).
    """
    share = newness(observed_days)
    terms = np.column_stack([_FREE * raw, np.full(len(raw), _FREE), share * raw, share]).astype(np.float64)
    fitted = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky").fit(terms, fraud)
    slope, intercept, new_slope, new_intercept = (float(value) for value in fitted.coef_[0])
    slope, intercept = max(slope * _FREE, 1e-3), intercept * _FREE
    return Calibration(
        slope=slope,
        intercept=intercept,
        new_slope=max(new_slope, 1e-3 - slope),  # a higher score never says less
        new_intercept=new_intercept,
    )


def shifted(fitted: Calibration, rate: float, expected_rate: float) -> Calibration:
    """A calibration for another share of fraud than it was fitted on: the log-odds move by the difference (Elkan 2001).

    >>> round(shifted(Calibration(slope=1.0, intercept=0.0), rate=0.5, expected_rate=0.1).intercept, 3)
    -2.197
    """
    return fitted.model_copy(update={"intercept": fitted.intercept + _log_odds(expected_rate) - _log_odds(rate)})


def observed_days(data: Dataset) -> npt.NDArray[np.float32]:
    """For how long the card of each transaction had been observed; NaN where the features do not say (n)."""
    if CARD.observed_column not in data.names:
        return np.full(len(data), np.nan, np.float32)
    return data.features[:, data.names.index(CARD.observed_column)]


def _log_odds(rate: float) -> float:
    return float(np.log(rate / (1 - rate)))
