"""Every aggregate is one row that says all there is to say of it."""

from __future__ import annotations

import dataclasses
import string

import pytest

from fraud.features.aggregates import AGGREGATES, MONEY, Aggregate, Reads, Shape
from fraud.features.catalogue import CATALOGUE
from fraud.features.kernel.layout import Input

FIELDS = {"value", "entity", "window", "units", "one_flagged", "flagged", "thing", "unknown", "paid", "far"}


def test_names_and_codes_are_unique() -> None:
    assert len({row.name for row in AGGREGATES}) == len({row.code for row in AGGREGATES}) == len(AGGREGATES)


@pytest.mark.parametrize("row", AGGREGATES, ids=lambda row: row.name)
def test_row_has_a_meaning_a_text_and_a_place_in_the_catalogue(row: Aggregate) -> None:
    assert row.meaning
    texts = [*(row.text if isinstance(row.text, tuple) else (row.text,)), row.absent]
    used = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}
    assert used <= FIELDS
    # those of the transaction itself have texts of their own, in fraud/features/text.py
    assert all(texts) is (row.shape is not Shape.VALUE)
    assert any(feature.aggregate is row for feature in CATALOGUE)


def test_features_name_what_their_aggregates_read() -> None:
    for feature in CATALOGUE:
        assert bool(feature.flag) is (feature.aggregate.reads is Reads.FLAG), feature.name
        assert (feature.input is not Input.NONE) is (feature.aggregate.reads is Reads.INPUT), feature.name
        assert bool(feature.window_ms) is (feature.aggregate.shape in (Shape.WINDOW, Shape.DECAY)), feature.name


def test_a_feature_whose_unit_contradicts_its_aggregate_is_refused() -> None:
    amounts = next(feature for feature in CATALOGUE if feature.aggregate.is_money)
    counts = next(feature for feature in CATALOGUE if feature.aggregate.reads is Reads.FLAG)
    assert amounts.unit == MONEY
    with pytest.raises(ValueError, match=f"{amounts.name}: unit 'km' for an aggregate '{amounts.aggregate.name}'"):
        dataclasses.replace(amounts, unit="km")
    with pytest.raises(ValueError, match="unit 'base currency'"):
        dataclasses.replace(counts, unit=MONEY)
