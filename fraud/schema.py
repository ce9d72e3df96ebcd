"""Derives Arrow and JSON schemas from one definition: a `msgspec.Struct` with annotated fields."""

from __future__ import annotations

import datetime as dt
import types
import typing
from typing import Any

import msgspec
import pyarrow as pa

TIMESTAMP_MS = pa.timestamp("ms", tz="UTC")

_ARROW_OF: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    dt.datetime: TIMESTAMP_MS,
}


def _strip_none(annotation: Any) -> tuple[Any, bool]:
    """Splits `T | None` into `(T, True)`; anything else comes back with `False`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return members[0], len(members) < len(typing.get_args(annotation))
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _arrow_type(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return _arrow_type(type(typing.get_args(annotation)[0]))
    if origin is list:
        return pa.list_(_arrow_type(typing.get_args(annotation)[0]))
    return _ARROW_OF[annotation]


def arrow_schema(record: type[msgspec.Struct]) -> pa.Schema:
    """The Arrow schema of a record type: same field names and order, nullable where the field may be None."""
    hints = typing.get_type_hints(record, include_extras=True)
    fields = []
    for name in record.__struct_fields__:
        annotation, nullable = _strip_none(hints[name])
        fields.append(pa.field(name, _arrow_type(annotation), nullable=nullable))
    return pa.schema(fields)


def json_schema(record: type[msgspec.Struct], identifier: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record type, flat and with its own `$id`."""
    (schema,), definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    name = schema["$ref"].rsplit("/", 1)[1]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        **definitions.pop(name),
        **({"$defs": definitions} if definitions else {}),
    }
