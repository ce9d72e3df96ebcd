"""The handbook's protocol, by hand on a few cards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_model.handbook import TOP_CARDS, LabelledFeatures, error_of, folds
from ml_model.metrics import DAY_MS, card_precision

START = 100 * DAY_MS


def data(rows: list[tuple[int, int, bool]]) -> LabelledFeatures:
    """Rows of (day after the first training week's start, card, fraud), sorted by day."""
    days, cards, frauds = (np.array(column) for column in zip(*rows, strict=True))
    return LabelledFeatures(np.zeros((len(rows), 1), np.float32), frauds, cards, START + days * DAY_MS)


def test_training_and_test_weeks_lie_a_week_apart() -> None:
    rows = [(day, 1, False) for day in range(30)]
    (fold,) = folds(data(rows), START, 1)
    assert fold.train.tolist() == list(range(7))
    assert fold.test.tolist() == list(range(14, 21))


def test_cards_known_as_compromised_are_left_out_from_the_day_their_label_is_in() -> None:
    #       card 1: fraud in training        card 2: fraud on day 9, known on day 9 + 8 = 17
    rows = [(3, 1, True), (9, 2, True), (14, 1, False), (14, 2, False), (16, 2, False), (17, 2, False), (18, 3, False)]
    measured = data(rows)
    (fold,) = folds(measured, START, 1)
    tested = [(int((measured.time_ms[row] - START) // DAY_MS), int(measured.card[row])) for row in fold.test]
    assert tested == [(14, 2), (16, 2), (18, 3)]


def test_card_precision_counts_cards_once_and_leaves_caught_ones_out() -> None:
    # Day 0: card 1 (fraud, in two transactions) and card 2. Day 1: card 1 again, already caught, and card 3 (fraud).
    score = np.array([0.9, 0.8, 0.7, 0.9, 0.1])
    fraud = np.array([True, True, False, True, True])
    card = np.array([1, 1, 2, 1, 3])
    day = np.array([0, 0, 0, 1, 1])
    # one compromised card found on each day, of 100 that could be looked at
    assert card_precision(score, fraud, card, day, TOP_CARDS) == 1 / TOP_CARDS


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_error_of_a_mean_shrinks_with_the_folds_and_is_of_the_same_unit(values: list[float]) -> None:
    def error(aps: list[float]) -> float:
        return error_of([{"ap": ap} for ap in aps])["ap"]

    four_times = math.sqrt((4 * len(values) - 1) / (len(values) - 1))
    assert error(values) == pytest.approx(four_times * error(values * 4), abs=1e-9)
    assert error([10 * value for value in values]) == pytest.approx(10 * error(values), abs=1e-9)
    assert math.isnan(error(values[:1]))
