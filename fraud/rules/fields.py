"""The fields that an expression may use, with the kinds of their values."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from fraud.transaction import TRANSACTION_SCHEMA, Transaction


class Kind(enum.StrEnum):
    """The kinds of values. All numbers are 64-bit floats: minor units up to 10^12 are exact in them."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "boolean"
    TIME = "time"


@dataclass(frozen=True)
class Field:
    """One field; `choices` are the only values that it takes, empty where any may occur."""

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()


Fields = Mapping[str, Field]


def fields_of(features: Iterable[pa.Field]) -> dict[str, Field]:
    """The fields of transactions plus the given features, by name."""
    hints = typing.get_type_hints(Transaction)
    transaction = {f.name: Field(f.name, _kind(f.type), _choices(hints[f.name])) for f in TRANSACTION_SCHEMA}
    return transaction | {f.name: Field(f.name, _kind(f.type)) for f in features}


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


def _choices(annotation: object) -> tuple[str, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) is not typing.Literal:
        return ()
    return tuple(choice for choice in typing.get_args(annotation) if isinstance(choice, str))
