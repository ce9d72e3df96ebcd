"""A small random search over what training is free to choose, within a budget of trials and of time.

Random draws find good choices about as well as a grid many times their number, because few of the choices matter
(Bergstra and Bengio 2012). The stretch that is held out from training has no part in it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score

from fraud.errors import MisconfiguredError
from fraud.settings import Retraining
from ml_model.dataset import Dataset
from ml_model.description import Description
from ml_model.train import Split, TrainingChoices, fit, log_odds_of, mature_part, split_at, train

_FOLDS = ((0.6, 0.8), (0.8, 1.0))
"""Of the time range that training may see: a fold trains before the first share, and is measured between the two."""


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
    """The choices with the best mean average precision over two folds that lie one after the other in time.

    Args:
        data: in event order.
        start: tried first, so that the search never does worse on its folds; gives what is not searched.
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
    best, best_precision = start, _precision(folds, start)
    progress(f"search: the start has average precision {best_precision:.4f}")
    for trial in range(1, trials + 1):
        if clock() - began >= seconds:
            progress(f"search: the time is over after {trial - 1} of {trials} trials")
            break
        drawn = draw(start, rng)
        precision = _precision(folds, drawn)
        if precision > best_precision:
            best, best_precision = drawn, precision
        progress(
            f"search: trial {trial} of {trials}: {precision:.4f}, best {best_precision:.4f} ({_changed(start, drawn)})"
        )
    progress(f"search: takes {_changed(start, best) or 'the start'}")
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


def _precision(folds: list[Split], choices: TrainingChoices) -> float:
    return float(
        np.mean([average_precision_score(f.late.known_fraud, log_odds_of(fit(f, choices), f.late)) for f in folds])
    )


def _changed(start: TrainingChoices, other: TrainingChoices) -> str:
    values = dataclasses.asdict(other)
    return ", ".join(
        f"{name} {values[name]:g}" for name, was in dataclasses.asdict(start).items() if was != values[name]
    )
