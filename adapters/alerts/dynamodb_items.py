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

_serialise: Any = TypeSerializer().serialize
_deserialise: Any = TypeDeserializer().deserialize

LEAST_NUMBER, LARGEST_NUMBER = Decimal("1e-130"), Decimal("9.99999999999e125")
"""Bounds of a number's size, other than 0 (DynamoDB developer guide, data types), the larger in 12 digits."""

_MOST_DIGITS = Context(prec=38)
"""Of an integer; a float has 12."""
_WORD = 1 << 63
_SURELY_A_WORD = 19  # characters: a word has at least as many
_EXACT = 1 << 53
_SURELY_WITHIN = 1e-120, 1e120


def to_dynamodb(item: Item) -> dict[str, Any]:
    """Typed attribute values; floats become decimals of 12 digits, which is what DynamoDB numbers are.

    A number too near to 0 for DynamoDB becomes 0, one that is too large its largest. What is no number (NaN, an
    infinity) is left out of items and maps, and null in lists, like a value that is not known.
    """
    typed = {}
    for name, value in item.items():
        if not isinstance(value, float):
            typed[name] = _typed(value)
        elif math.isfinite(value):
            typed[name] = {"N": _digits(value)}
    return typed


def from_dynamodb(item: dict[str, Any]) -> Item:
    """Plain values: whole numbers of at most 64 bits as int, others as float."""
    return {name: _plain(value) for name, value in item.items()}


def stored_form(item: Item) -> Item:
    """An item as reading it back gives it: numbers rounded to what is stored."""
    return from_dynamodb(to_dynamodb(item))


def _typed(value: Any) -> dict[str, Any]:
    """One value in its type. Items have a hundred, for which boto3's own way takes milliseconds."""
    match value:
        case float():
            return {"N": _digits(value)} if math.isfinite(value) else {"NULL": True}
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value if -_WORD <= value < _WORD else _within_bounds(_MOST_DIGITS.create_decimal(value)))}
        case dict():
            return {"M": to_dynamodb(value)}
        case list():
            return {"L": [_typed(inner) for inner in value]}
        case _:
            return _serialise(value)  # type: ignore[no-any-return]


def _digits(number: float) -> str:
    digits = format(number, ".12g")
    if number == 0 or _SURELY_WITHIN[0] < abs(number) < _SURELY_WITHIN[1]:
        return digits
    return str(_within_bounds(Decimal(digits)))


def _within_bounds(number: Decimal) -> Decimal:
    size = number.copy_abs()
    if size < LEAST_NUMBER:
        return Decimal(0)
    return number if size <= LARGEST_NUMBER else LARGEST_NUMBER.copy_sign(number)


def _plain(typed: dict[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return _number(value)
        case "M":
            return from_dynamodb(value)
        case "L":
            return [_plain(inner) for inner in value]
        case _:
            return _deserialise(typed)


def _number(digits: str) -> int | float:
    if len(digits) < _SURELY_A_WORD and digits.isdecimal():
        return int(digits)
    if len(digits) < _SURELY_A_WORD and not (near := float(digits)).is_integer() and abs(near) < _EXACT:
        return near
    number = Decimal(digits)
    return int(number) if abs(number) < _WORD and number == number.to_integral_value() else float(number)
