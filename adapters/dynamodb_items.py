"""Items as plain Python values, and as DynamoDB wants them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from fraud.alert import Item

_serialise = TypeSerializer().serialize
_deserialise = TypeDeserializer().deserialize


def to_dynamodb(item: Item) -> dict[str, Any]:
    """Typed attribute values; floats become decimals of 12 digits, which is what DynamoDB numbers are."""
    return {name: _serialise(_exact(value)) for name, value in item.items()}


def from_dynamodb(item: dict[str, Any]) -> Item:
    """Plain values: whole numbers as int, others as float."""
    return {name: _plain(_deserialise(value)) for name, value in item.items()}


def stored_form(item: Item) -> Item:
    """An item as reading it back gives it: numbers rounded to what is stored."""
    return from_dynamodb(to_dynamodb(item))


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(format(value, ".12g"))
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
