"""Variables of a policy's own: values that records carry beside the fields of a transaction, under `event.variables`.

Decoders ignore them; the bytes of the record keep them on the stream, in the journal and in the archive. A policy names
those that its rules use with their kinds, and they are read from these bytes where it is evaluated: by the service, the
job and a backtest alike. A record that does not carry a variable, or holds another kind of value there, has null.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from fraud.decision.policy.lists import flat
from fraud.decision.rules.expression import KEYWORDS
from fraud.decision.rules.fields import Fields, Kind
from fraud.records import Row
from fraud.records.answered import record_in
from fraud.records.arrival import RAW_FIELD
from fraud.records.schema import END_MS, FIRST_MS, TIMESTAMP_MS, milliseconds_of

RAW = RAW_FIELD.name
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_TRUTH = {"true": True, "false": False}


class _Event(msgspec.Struct):
    variables: dict[str, Any] = {}


class _Record(msgspec.Struct):
    event: _Event | None = None


_parse = msgspec.json.Decoder(_Record).decode
_NONE: Mapping[str, Any] = {}


def name_problem(name: str, fields: Fields) -> str | None:
    """Why a policy cannot have a variable of this name; None where it can.

    >>> name_problem("case", {})
    'is a word of the language of rules'
    """
    if name in fields:
        return "is the name of a field or feature"
    return "is a word of the language of rules" if name.upper() in KEYWORDS else None


def value_of(kind: Kind, given: object) -> str | float | bool | dt.datetime | None:
    """A carried value as rules have it; None where it is not of the kind.

    >>> value_of(Kind.NUMBER, "12.50"), value_of(Kind.BOOL, "TRUE"), value_of(Kind.NUMBER, "many")
    (12.5, True, None)
    """
    return _READ[kind](given)


def columns_of(names: Iterable[str], fields: Fields) -> set[str]:
    """The columns that some fields are read from: variables from the bytes of the record."""
    return {RAW if fields[name].is_variable else name for name in names}


def values_of_row(row: Row, names: Sequence[str], fields: Fields) -> dict[str, Any]:
    """Values of a single transaction by field."""
    found = {name: row.get(name) for name in names}
    variables = [name for name in names if fields[name].is_variable]
    if variables:
        carried = _carried(row.get(RAW))
        for name in variables:
            found[name] = value_of(fields[name].kind, carried.get(name))
    return found


def values_of_batch(
    batch: pa.RecordBatch | pa.Table, names: Sequence[str], fields: Fields
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Columns of transactions by field, each in one piece. Without the bytes of the records, variables are null."""
    variables = [name for name in names if fields[name].is_variable]
    raw = batch[RAW].to_pylist() if variables and RAW in batch.schema.names else [None] * batch.num_rows
    carried = [_carried(data) for data in raw] if variables else []
    found = {}
    for name in names:
        kind = fields[name].kind
        if fields[name].is_variable:
            found[name] = pa.array([value_of(kind, values.get(name)) for values in carried], _ARROW[kind])
        else:
            found[name] = flat(batch[name])
    return found


def _carried(data: bytes | None) -> Mapping[str, Any]:
    """The variables that a record carries; none where `event` is something else."""
    if data is None:
        return _NONE
    try:
        event = _parse(record_in(data)).event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NONE
    return _NONE if event is None else event.variables


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()) is None:
        return None
    try:
        number = float(given)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(given: object) -> str | None:
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        return given
    number = _number(given)
    return None if number is None else f"{number:.15g}"


def _truth(given: object) -> bool | None:
    return given if isinstance(given, bool) else _TRUTH.get(given.strip().lower()) if isinstance(given, str) else None


def _time(given: object) -> dt.datetime | None:
    """An ISO 8601 time, UTC where it names no zone, in whole milliseconds as records have them."""
    if not isinstance(given, str):
        return None
    try:
        time = dt.datetime.fromisoformat(given.strip())
        time = (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    whole = time.replace(microsecond=time.microsecond // 1000 * 1000)
    return whole if FIRST_MS <= milliseconds_of(whole) < END_MS else None


_READ: Mapping[Kind, Callable[[object], str | float | bool | dt.datetime | None]] = {
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.BOOL: _truth,
    Kind.TIME: _time,
}
_ARROW = {Kind.NUMBER: pa.float64(), Kind.TEXT: pa.string(), Kind.BOOL: pa.bool_(), Kind.TIME: TIMESTAMP_MS}
