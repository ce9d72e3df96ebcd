"""Values in the form that DynamoDB takes: whatever they are, there is one, and reading it back gives plain JSON."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import DYNAMODB_CONTEXT
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.alerts.dynamodb_items import LARGEST_NUMBER, LEAST_NUMBER, from_dynamodb, stored_form, to_dynamodb

NUMBERS = st.floats() | st.integers() | st.integers(-(10**200), 10**200)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def numbers_in(stored: Any) -> list[Decimal]:
    if isinstance(stored, dict):
        own = [Decimal(stored["N"])] if isinstance(stored.get("N"), str) else []
        return own + [number for inner in stored.values() for number in numbers_in(inner)]
    return [number for inner in stored for number in numbers_in(inner)] if isinstance(stored, list) else []


@given(VALUES)
@example(1e-160)
@example(5e-324)
@example(math.nan)
@example({"score": math.inf})
def test_every_value_has_a_form_whose_numbers_are_within_dynamodbs_bounds(value: Any) -> None:
    stored = to_dynamodb({"value": value})
    for number in numbers_in(stored):
        assert number == 0 or LEAST_NUMBER <= abs(number) <= LARGEST_NUMBER
        assert DYNAMODB_CONTEXT.create_decimal(number) == number  # 38 digits, nothing trapped
    json.dumps(stored_form({"value": value}), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.123456789012345, {"v": 0.123456789012}),
        (1e-160, {"v": 0}),
        (-1e-131, {"v": 0}),
        (1e-130, {"v": 1e-130}),
        (1e308, {"v": 9.99999999999e125}),
        (-1e308, {"v": -9.99999999999e125}),
        (2**63 - 1, {"v": 2**63 - 1}),
        (10**40, {"v": 1e40}),
        (math.nan, {}),
        (-math.inf, {}),
        ({"a": math.nan, "b": 1.5}, {"v": {"b": 1.5}}),
        ([math.inf, "", True], {"v": [None, "", True]}),
    ],
)
def test_what_it_is_read_back_as(value: Any, wanted: dict[str, Any]) -> None:
    assert stored_form({"v": value}) == wanted


@given(
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(-1e20, 1e20).map(Decimal)
    | st.integers().map(Decimal)
)
@example(Decimal("9007199254740991.3"))
@example(Decimal("1.50"))
@example(Decimal("-0.0"))
def test_a_number_is_read_as_its_digits_say_however_long_they_are(number: Decimal) -> None:
    found = from_dynamodb({"v": {"N": str(number)}})["v"]
    whole = abs(number) < 1 << 63 and number == number.to_integral_value()
    assert found == (int(number) if whole else float(number))
    assert isinstance(found, int) == whole
