"""The search keeps its budget, is repeatable, and takes only what beats the start by more than chance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fraud.errors import MisconfiguredError
from fraud.settings import Retraining
from ml_model.dataset import Dataset
from ml_model.metrics import Floats, standard_error
from ml_model.search import draw, pick, search, train_within
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


PRECISION = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(3, 5)), elements=st.integers(0, 64).map(float))


@given(PRECISION)
def test_what_is_taken_beats_the_start_by_more_than_its_standard_error_and_all_others_that_do(tried: Floats) -> None:
    picked = pick(tried)
    gains = tried - tried[0]
    if picked.trial:
        assert picked.gain > picked.error
    for gain in gains:
        assert gain.mean() <= max(picked.gain, standard_error(gain))


@given(PRECISION, st.integers(0, 4), st.integers(-64, 64))
def test_how_hard_a_fold_is_does_not_matter(tried: Floats, fold: int, harder: int) -> None:
    moved = tried.copy()
    moved[:, fold % tried.shape[1]] += harder
    assert pick(moved)[:3] == pytest.approx(pick(tried)[:3])


def test_of_equal_choices_the_best_looks_better_than_it_is_and_is_said_to_be_worth_what_it_is() -> None:
    rng = np.random.default_rng(4)
    searches = [rng.normal(0.5, 0.02, (25, 4)) for _ in range(100)]
    looked, said = zip(*((tried[pick(tried).trial].mean(), pick(tried).apart) for tried in searches), strict=True)
    assert np.mean(said) == pytest.approx(0.5, abs=3 * float(standard_error(said)))
    assert np.mean(looked) > 0.5 + 5 * standard_error(looked)


def test_each_trial_is_reported_with_its_spread_and_the_one_taken_is_as_it_was_drawn(data: Dataset) -> None:
    chosen, lines = searched(data, 4)
    rng = np.random.default_rng(START.seed)
    assert chosen in [START, *(draw(START, rng) for _ in range(4))]
    assert [line.split(": ")[1][:9] for line in lines[1:-1]] == ["trial 1 o", "trial 2 o", "trial 3 o", "trial 4 o"]
    assert all(" ± " in line for line in lines)


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
