"""The fields that an expression may use, with the kinds of their values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa

from fraud.countries import assigned, meant
from fraud.decision.rules.values import ANY, Values, values_of
from fraud.features.catalogue import Feature
from fraud.features.text import ValueText, texts_of
from fraud.money import is_currency, meant_currency
from fraud.records.schema import literals
from fraud.records.transaction import TRANSACTION_JSON_SCHEMA, TRANSACTION_SCHEMA, Transaction


class Kind(enum.StrEnum):
    """The kinds of values. All numbers are 64-bit floats: minor units up to 10^12 are exact in them."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "boolean"
    TIME = "time"


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        name: its name.
        kind: of its values.
        choices: the only values that it takes; empty where any may occur.
        values: what it can hold.
        standard: the standard that its codes are of; None where they are of none.
        is_variable: whether it is a variable of the policy's own, see `fraud.decision.policy.variables`.
        text: how its values are said, where it is a feature.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()
    values: Values = ANY
    standard: Standard | None = None
    is_variable: bool = False
    text: ValueText | None = None


class Standard(NamedTuple):
    """A standard of codes.

    Attributes:
        name: as people call it.
        has: whether a code is one of it.
        meant: the code that somebody may have meant by another text.
    """

    name: str
    has: Callable[[str], bool]
    meant: Callable[[str], str | None]


COUNTRIES = Standard("ISO 3166-1", assigned, meant)
CURRENCIES = Standard("ISO 4217", is_currency, meant_currency)
_STANDARDS = {"ISO 3166-1 alpha-2": COUNTRIES, "ISO 4217": CURRENCIES}
"""By the description of a field in the record's schema."""


Fields = Mapping[str, Field]


def fields_of(features: Iterable[Feature]) -> dict[str, Field]:
    """The fields of transactions plus the features of the catalogue in force, by name."""
    choices = {name: tuple(v for v in values if isinstance(v, str)) for name, values in literals(Transaction).items()}
    transaction = {f.name: _field(f, choices.get(f.name, ())) for f in TRANSACTION_SCHEMA}
    return transaction | {name: Field(name, Kind.NUMBER, text=text) for name, text in texts_of(features).items()}


def text_of(name: str, fields: Fields) -> ValueText:
    """How values of a number are said; those of no feature in force by their name."""
    field = fields.get(name)
    return ValueText(name) if field is None or field.text is None else field.text


def _field(column: pa.Field, choices: tuple[str, ...]) -> Field:
    schema: dict[str, Any] = TRANSACTION_JSON_SCHEMA["properties"][column.name]
    alternatives = [schema, *schema.get("anyOf", ())]
    of = next((one for one in alternatives if one.get("type") not in (None, "null") or "enum" in one), schema)
    values = values_of(of, column.nullable)
    if choices:
        values = replace(values, among=frozenset(choices))
    return Field(column.name, _kind(column.type), choices, values, _STANDARDS.get(schema.get("description", "")))


def _kind(arrow: pa.DataType) -> Kind:
    if pa.types.is_boolean(arrow):
        return Kind.BOOL
    if pa.types.is_timestamp(arrow):
        return Kind.TIME
    if pa.types.is_integer(arrow) or pa.types.is_floating(arrow):
        return Kind.NUMBER
    if pa.types.is_string(arrow):
        return Kind.TEXT
    raise TypeError(f"rules have no kind of value for {arrow}")
