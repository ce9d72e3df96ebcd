"""A sample of cards is bounded, whole by card, and the same however the stream is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ml_model.sampling import sample_of_cards

CARDS = 300
ROWS = 3_000
STREAM = pa.table(
    {"card_token": [f"card-{number % CARDS}" for number in range(ROWS)], "number": np.arange(ROWS)},
)


def cut(places: list[int]) -> list[pa.Table]:
    bounds = [0, *sorted(places), ROWS]
    return [STREAM.slice(begin, end - begin) for begin, end in itertools.pairwise(bounds)]


def test_nothing_is_left_out_while_all_fits() -> None:
    table, share = sample_of_cards(cut([1_000]), rows=ROWS)
    assert table is not None
    assert (table["number"].to_pylist(), share) == (list(range(ROWS)), 1.0)


def test_an_empty_stream_gives_nothing() -> None:
    assert sample_of_cards([], rows=10) == (None, 1.0)
    assert sample_of_cards([STREAM.slice(0, 0)], rows=10) == (None, 1.0)


def test_cards_are_taken_whole_and_in_the_share_that_is_returned() -> None:
    table, share = sample_of_cards(cut([700, 2_000]), rows=1_000)
    assert table is not None
    assert len(table) <= 1_000
    counts = table["card_token"].value_counts().field("counts").to_pylist()
    assert set(counts) == {ROWS // CARDS}
    assert share == 0.25
    assert abs(len(counts) / CARDS - share) < 0.1  # of 300 cards a quarter, give or take 0.025


@given(st.lists(st.integers(0, ROWS), max_size=6), st.integers(50, ROWS))
def test_where_the_stream_is_cut_changes_nothing(places: list[int], rows: int) -> None:
    whole, share = sample_of_cards([STREAM], rows)
    parts, share_of_parts = sample_of_cards(cut(places), rows)
    assert whole is not None
    assert parts is not None
    assert share == share_of_parts
    assert whole["number"].to_pylist() == parts["number"].to_pylist()


def test_some_rows_stay_whatever_their_card() -> None:
    table, _ = sample_of_cards(cut([500]), rows=200, always=lambda chunk: chunk["number"].to_numpy() % 100 == 0)
    assert table is not None
    numbers = table["number"].to_pylist()
    assert set(range(0, ROWS, 100)) <= set(numbers)
    assert len(numbers) <= 200 + ROWS // 100
