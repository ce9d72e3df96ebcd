"""A small random search over what training is free to choose, within a budget of trials and of time.

Random draws find good choices about as well as a grid many times their number, because few of the choices matter
(Bergstra and Bengio 2012). The best of many draws looks better on its folds than it is (Cawley and Talbot 2010): a draw
is taken only if it beats the start by more than a standard error, as in the rule of Breiman et al. (1984), and what the
choice is worth is said of folds that had no part in it. The stretch that is held out from training has no part at all.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score

from fraud.errors import MisconfiguredError
from fraud.settings import Retraining
from ml_model.dataset import Dataset
from ml_model.description import Description
from ml_model.metrics import Floats, standard_error
from ml_model.train import Split, TrainingChoices, fit, log_odds_of, mature_part, split_at, train

_FOLDS = ((0.4, 0.55), (0.55, 0.7), (0.7, 0.85), (0.85, 1.0))
"""Of the time range that training may see: a fold trains before the first share, and is measured between the two."""


class Picked(NamedTuple):
    """What a search takes.

    Attributes:
        trial: its number; 0 is the start.
        gain: average precision above the start, mean over folds.
        error: the standard error of that gain.
        apart: average precision where each fold is measured with what the others would have taken, mean over folds.
    """

    trial: int
    gain: float
    error: float
    apart: float


def pick(precision: Floats) -> Picked:
    """The best of those that beat the start by more than a standard error; the start if none does.

    Args:
        precision: (trials, folds), the start first, at least three folds.
    """
    folds = precision.shape[1]
    trial = _best(precision)
    gains = precision[trial] - precision[0]
    apart = [precision[_best(np.delete(precision, fold, axis=1)), fold] for fold in range(folds)]
    return Picked(trial, float(gains.mean()), float(standard_error(gains)), float(np.mean(apart)))


def _best(precision: Floats) -> int:
    gains = precision - precision[0]
    mean, error = gains.mean(axis=1), standard_error(gains, axis=1)
    return int(np.argmax(np.where(mean > error, mean, 0.0)))


def train_within(
    budget: Retraining,
    data: Dataset,
    choices: TrainingChoices,
    progress: Callable[[str], None],
    calibrate_on: Dataset | None = None,
) -> tuple[bytes, Description]:
    """Trains a model, after a search where the budget has trials.

    Args:
        budget: `trials` and `search_s`.
        data: in event order.
        choices: where the search begins, and what it leaves alone.
        progress: called with each line of progress.
        calibrate_on: see `ml_model.train.train`.

    Raises:
        MisconfiguredError: too little known fraud to learn from.
    """
    if budget.trials:
        choices = search(data, choices, budget.trials, budget.search_s, progress)
    return train(data, choices, progress, calibrate_on)


def search(
    data: Dataset,
    start: TrainingChoices,
    trials: int,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingChoices:
    """The choices with the best mean average precision over folds that lie one after the other in time, see `pick`.

    Args:
        data: in event order.
        start: tried first, and kept unless a draw is better by more than chance; gives what is not searched.
        trials: random draws after it.
        seconds: after which no further trial begins.
        progress: called with each line of progress.
        clock: seconds that never go back.

    Raises:
        MisconfiguredError: too little known fraud for the folds.
    """
    began = clock()
    folds = _folds(data, start)
    rng = np.random.default_rng(start.seed)
    tried, precision = [start], [_precision(folds, start)]
    progress(f"search: the start has average precision {_over(precision[0])}")
    for trial in range(1, trials + 1):
        if clock() - began >= seconds:
            progress(f"search: the time is over after {trial - 1} of {trials} trials")
            break
        tried.append(draw(start, rng))
        precision.append(_precision(folds, tried[-1]))
        progress(f"search: trial {trial} of {trials}: {_over(precision[-1])} ({_changed(start, tried[-1])})")
    picked = pick(np.array(precision))
    best = tried[picked.trial]
    progress(
        f"search: takes {_changed(start, best) or 'the start'}: gains {picked.gain:.4f} ± {picked.error:.4f}; measured "
        f"on folds without a part in the choice {picked.apart:.4f}"
    )
    return best


def draw(start: TrainingChoices, rng: np.random.Generator) -> TrainingChoices:
    """Choices with new values drawn for those that are searched."""
    return dataclasses.replace(
        start,
        depth=int(rng.integers(3, 9)),
        rate=_by_ratio(rng, 0.03, 0.3),
        child_weight=_by_ratio(rng, 0.1, 10.0),
        fraud_weight=_by_ratio(rng, 1.0, 30.0),
        l2=_by_ratio(rng, 0.1, 30.0),
        rows_share=round(float(rng.uniform(0.5, 1.0)), 2),
        columns_share=round(float(rng.uniform(0.3, 1.0)), 2),
    )


def _by_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")


def _folds(data: Dataset, choices: TrainingChoices) -> list[Split]:
    mature = mature_part(data, choices)
    begin, length = mature.time_ms[0], mature.time_ms[-1] - mature.time_ms[0]
    seen = mature.take(mature.time_ms <= begin + length * (1 - choices.held_out))
    span = seen.time_ms[-1] - begin
    try:
        return [
            split_at(seen.take(seen.time_ms <= begin + span * end), cut / end, choices.delay_days)
            for cut, end in _FOLDS
        ]
    except MisconfiguredError as error:
        raise MisconfiguredError("retraining.trials", f"too little to search on ({error}); use 0 trials") from None


def _precision(folds: list[Split], choices: TrainingChoices) -> list[float]:
    return [float(average_precision_score(f.late.known_fraud, log_odds_of(fit(f, choices), f.late))) for f in folds]


def _over(precision: list[float]) -> str:
    return f"{np.mean(precision):.4f} ± {standard_error(precision):.4f}"


def _changed(start: TrainingChoices, other: TrainingChoices) -> str:
    values = dataclasses.asdict(other)
    return ", ".join(
        f"{name} {values[name]:g}" for name, was in dataclasses.asdict(start).items() if was != values[name]
    )
