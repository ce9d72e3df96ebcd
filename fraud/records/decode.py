"""Decodes stream records to Arrow columns. A bad record yields a reason, never an exception."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec
import pyarrow as pa

from fraud.records import Row
from fraud.records.card_number import find_card_number
from fraud.records.dead_letter import Reason, Reject
from fraud.records.label import LABEL_SCHEMA, Label, parse_label
from fraud.records.schema import END_MS, FIRST_MS
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

MAX_RECORD_BYTES = 16_384
"""A transaction is about 800 bytes; far larger ones are refused before they are parsed."""

_FIRST, _END = (dt.datetime.fromtimestamp(bound / 1000, dt.UTC) for bound in (FIRST_MS, END_MS))
_FIELD_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_STATED_VALUE = re.compile(r"\AInvalid enum value .* - at", re.DOTALL)
_MISSING_FIELD = re.compile(r"missing required field `([^`]+)`")


class Decoded(NamedTuple):
    """What decoding made of a sequence of records.

    Attributes:
        batch: the good records as columns, in the order given.
        rows: for each row of `batch`, its position among the records given (int64).
        rejects: the refused records, in the order given.
    """

    batch: pa.RecordBatch
    rows: pa.Array
    rejects: list[Reject]


class RecordDecoder:
    """Decodes JSON records of one type.

    Args:
        record: the type.
        schema: its columns.
        parse: reads the bytes of one; raises what `msgspec.json.Decoder.decode` does.
    """

    def __init__(
        self,
        record: type[msgspec.Struct],
        schema: pa.Schema,
        parse: Callable[[bytes], msgspec.Struct] | None = None,
    ) -> None:
        self._parse = parse or msgspec.json.Decoder(record).decode
        self._fields = record.__struct_fields__
        self._values = attrgetter(*self._fields)
        self._schema = schema
        self._times = [field.name for field in schema if pa.types.is_timestamp(field.type)]

    def decode(self, records: Iterable[bytes]) -> Decoded:
        """Decodes records one by one into columns; see `Decoded`."""
        good: list[tuple[object, ...]] = []
        rows: list[int] = []
        rejects: list[Reject] = []
        for row, record in enumerate(records):
            parsed = self._parsed(row, record)
            if isinstance(parsed, Reject):
                rejects.append(parsed)
            else:
                good.append(self._values(parsed))
                rows.append(row)
        columns: Sequence[Sequence[object]] = list(zip(*good, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        return Decoded(pa.RecordBatch.from_arrays(arrays, schema=self._schema), pa.array(rows, pa.int64()), rejects)

    def decode_one(self, record: bytes) -> Row | Reject:
        """Decodes a single record, without Arrow."""
        parsed = self._parsed(0, record)
        return parsed if isinstance(parsed, Reject) else Row(zip(self._fields, self._values(parsed), strict=True))

    def _parsed(self, row: int, record: bytes) -> msgspec.Struct | Reject:
        if len(record) > MAX_RECORD_BYTES:
            return Reject(row, Reason.OVERSIZE, None, f"{len(record)} bytes, allowed are {MAX_RECORD_BYTES}")
        found = find_card_number(record)
        if found is not None:
            where = f"characters {found.first} to {found.last}"
            detail = f"holds a card number ({where}); send the record again with a token in its place"
            return Reject(row, Reason.CARD_NUMBER, found.path, detail)
        try:
            if not record.isascii():
                record.decode()  # the parser does not look into texts of unknown fields
            parsed: msgspec.Struct = self._parse(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refusal(row, error)
        for name in self._times:
            # A calendar holds more times than programs do, and a zone can even shift one out of the calendar.
            time = getattr(parsed, name)
            if time is not None and not _FIRST <= time < _END:
                return Reject(row, Reason.INVALID, name, "lies outside the years 1970 to 2261")
        return parsed


def _refusal(row: int, error: Exception) -> Reject:
    text = _STATED_VALUE.sub("Not one of the allowed values - at", str(error))  # who may read this may not read records
    if not isinstance(error, msgspec.ValidationError):
        return Reject(row, Reason.UNDECODABLE, None, text)
    missing = _MISSING_FIELD.search(text)
    path = _FIELD_PATH.search(text)
    field = missing.group(1) if missing else path.group(1) if path else None
    if field == "schema_version":
        return Reject(row, Reason.UNSUPPORTED_VERSION, field, text)
    return Reject(row, Reason.INVALID if field else Reason.UNDECODABLE, field, text)


TRANSACTIONS = RecordDecoder(Transaction, TRANSACTION_SCHEMA)
LABELS = RecordDecoder(Label, LABEL_SCHEMA, parse_label)
