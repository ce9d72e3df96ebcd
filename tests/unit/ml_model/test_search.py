"""The search keeps its budget, is repeatable, and never takes what did worse on its folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fraud.errors import MisconfiguredError
from fraud.settings import Retraining
from ml_model.dataset import Dataset
from ml_model.search import draw, search, train_within
from ml_model.train import TrainingChoices
from tests.support.training_data import signal_data

START = TrainingChoices(trees=10, bins=16, burn_in_days=0, maturity_days=0, delay_days=2)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return signal_data()


def searched(
    data: Dataset, trials: int, seconds: float = 1e9, step_s: float = 1.0
) -> tuple[TrainingChoices, list[str]]:
    lines: list[str] = []
    ticks = itertools.count(0, step_s)
    return search(data, START, trials, seconds, lines.append, lambda: next(ticks)), lines


def test_the_best_of_the_trials_is_taken_and_each_is_reported(data: Dataset) -> None:
    chosen, lines = searched(data, 4)
    precisions = [float(line.split(": ")[2].split(",")[0]) for line in lines[1:-1]]
    start = float(lines[0].split()[-1])
    rng = np.random.default_rng(START.seed)
    drawn = [draw(START, rng) for _ in range(4)]
    best = max(zip([start, *precisions], [START, *drawn], strict=True), key=lambda pair: pair[0])[1]
    assert chosen == best
    assert len(lines) == 6


def test_it_is_repeatable(data: Dataset) -> None:
    assert searched(data, 2)[0] == searched(data, 2)[0]


def test_no_trial_begins_after_the_time(data: Dataset) -> None:
    # the clock is read at the start and before each trial: 0, 10, 20, 30 s
    _, lines = searched(data, 50, seconds=25, step_s=10)
    assert lines[-2] == "search: the time is over after 2 of 50 trials"


def test_what_is_not_searched_stays(data: Dataset) -> None:
    drawn = draw(START, np.random.default_rng(1))
    assert (drawn.trees, drawn.bins, drawn.delay_days, drawn.seed) == (10, 16, 2, START.seed)


def test_what_is_held_out_has_no_part_in_the_choice(data: Dataset) -> None:
    late = data.time_ms > data.time_ms[-1] * 0.76
    spoilt = Dataset(np.where(late[:, None], 0, data.features).astype(np.float32), data.known_fraud, data.time_ms)
    assert searched(spoilt, 2) == searched(data, 2)


def test_without_trials_nothing_is_searched(data: Dataset) -> None:
    lines: list[str] = []
    _, description = train_within(Retraining(trials=0), data, START, lines.append)
    assert not any(line.startswith("search") for line in lines)
    assert description.choices["depth"] == START.depth


def test_the_model_notes_what_was_found(data: Dataset) -> None:
    chosen, _ = searched(data, 3)
    _, description = train_within(Retraining(trials=3), data, START, lambda _: None)
    assert (description.choices["depth"], description.choices["rate"]) == (chosen.depth, chosen.rate)


def test_too_little_to_search_on_names_the_way_out() -> None:
    with pytest.raises(MisconfiguredError, match=r"retraining\.trials: too little to search on .* use 0 trials"):
        searched(signal_data(rows=900), 1)
