"""Derives Arrow and JSON schemas from one definition: a `msgspec.Struct` with annotated fields."""

from __future__ import annotations

import datetime as dt
import re
import types
import typing
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

TIMESTAMP_MS = pa.timestamp("ms", tz="UTC")
FIRST_MS, END_MS = 0, 9_214_646_400_000
"""Times that records can have: from 1970 on, before 2262, when nanoseconds since then overflow 64 bits (pandas, Parquet
readers)."""

_EPOCH, _MILLISECOND = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(milliseconds=1)

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
    hints = field_types(record)
    fields = []
    for name in record.__struct_fields__:
        annotation, nullable = _strip_none(hints[name])
        fields.append(pa.field(name, _arrow_type(annotation), nullable=nullable))
    return pa.schema(fields)


def field_types(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The type of each field with its bounds, as `msgspec.convert` takes it."""
    return typing.get_type_hints(record, include_extras=True)


def literals(record: type[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    """The only values of the fields that take some few."""
    hints = {name: _strip_none(hint)[0] for name, hint in typing.get_type_hints(record).items()}
    return {name: typing.get_args(hint) for name, hint in hints.items() if typing.get_origin(hint) is typing.Literal}


def names(record: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of text that is bounded in length: names, of which there are any number; all other text is a code."""
    hints = {name: _strip_none(hint)[0] for name, hint in typing.get_type_hints(record, include_extras=True).items()}
    return frozenset(
        name
        for name, hint in hints.items()
        if any(isinstance(meta, msgspec.Meta) and meta.max_length for meta in getattr(hint, "__metadata__", ()))
    )


_WHOLE = re.compile(r"\\A\(\?:(.*)\)\\Z")


def whole(pattern: str) -> str:
    """A regular expression for values that match from their first character to their last.

    `^` and `$` would not do: in Python `$` also matches in front of a newline at the end.

    >>> bool(re.search(whole("[0-9]{4}"), "5411")), bool(re.search(whole("[0-9]{4}"), "5411\\n"))
    (True, False)
    """
    return rf"\A(?:{pattern})\Z"


def json_schema(record: type[msgspec.Struct], identifier: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record type, flat and with its own `$id`."""
    (schema,), definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    name = schema["$ref"].rsplit("/", 1)[1]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        **_with_portable_patterns(definitions.pop(name)),
        **({"$defs": _with_portable_patterns(definitions)} if definitions else {}),
    }


def _with_portable_patterns(schema: Any) -> Any:
    """The same with `^` and `$` in patterns, which in JSON Schema's regular expressions (ECMA-262) mean the whole."""
    if isinstance(schema, list):
        return [_with_portable_patterns(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _WHOLE.sub(r"^\1$", inner) if name == "pattern" else _with_portable_patterns(inner)
        for name, inner in schema.items()
    }


def milliseconds(column: pa.Array) -> npt.NDArray[np.int64]:
    """Timestamps without nulls as milliseconds since 1970 UTC."""
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)


def milliseconds_of(time: dt.datetime) -> int:
    """A time as milliseconds since 1970 UTC; what lies between two is cut off.

    >>> milliseconds_of(dt.datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=dt.UTC))
    1000
    """
    return (time - _EPOCH) // _MILLISECOND


def time_of(time_ms: int) -> dt.datetime:
    """The inverse: milliseconds since 1970 UTC as an aware time, without rounding.

    >>> milliseconds_of(time_of(253_402_300_799_999))
    253402300799999
    """
    return _EPOCH + time_ms * _MILLISECOND
