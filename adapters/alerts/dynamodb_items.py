"""Items as plain Python values, and as DynamoDB wants them: the one place that turns values into its own.

Every value has a form that DynamoDB takes, since an alert derives from a stored decision: one that was refused would
make a batch that no attempt can finish.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from adapters.alerts.alert import Item

_serialise = TypeSerializer().serialize
_deserialise = TypeDeserializer().deserialize

LEAST_NUMBER, LARGEST_NUMBER = Decimal("1e-130"), Decimal("9.99999999999e125")
"""Bounds of a number's size, other than 0 (DynamoDB developer guide, data types), the larger in 12 digits."""

_MOST_DIGITS = Context(prec=38)
"""Of an integer; a float has 12."""
_WORD = 1 << 63


def to_dynamodb(item: Item) -> dict[str, Any]:
    """Typed attribute values; floats become decimals of 12 digits, which is what DynamoDB numbers are.

    A number too near to 0 for DynamoDB becomes 0, one that is too large its largest. What is no number (NaN, an
    infinity) is left out of items and maps, and null in lists, like a value that is not known.
    """
    return {name: _serialise(value) for name, value in _exact(item).items()}


def from_dynamodb(item: dict[str, Any]) -> Item:
    """Plain values: whole numbers of at most 64 bits as int, others as float."""
    return {name: _plain(_deserialise(value)) for name, value in item.items()}


def stored_form(item: Item) -> Item:
    """An item as reading it back gives it: numbers rounded to what is stored."""
    return from_dynamodb(to_dynamodb(item))


def _exact(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return _within_bounds(Decimal(format(value, ".12g"))) if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -_WORD <= value < _WORD else _within_bounds(_MOST_DIGITS.create_decimal(value))
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items() if not _is_no_number(inner)}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return value


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _within_bounds(number: Decimal) -> Decimal:
    size = number.copy_abs()
    if size < LEAST_NUMBER:
        return Decimal(0)
    return number if size <= LARGEST_NUMBER else LARGEST_NUMBER.copy_sign(number)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if abs(value) < _WORD and value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
