"""Decodes stream records to Arrow columns. A bad record yields a reason, never an exception."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from fraud.card_number import contains_card_number, redact
from fraud.dead_letter import Reason, Reject
from fraud.label import LABEL_SCHEMA, Label
from fraud.transaction import TRANSACTION_SCHEMA, Transaction

MAX_RECORD_BYTES = 16_384
"""A transaction is about 800 bytes; far larger ones are refused before they are parsed."""

_FIRST_MS = 0
_END_MS = int(dt.datetime(2262, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
"""Times from 1970 on, before nanoseconds since then overflow 64 bits (pandas, Parquet readers)."""
_FIELD_PATH = re.compile(r" - at `\$\.?([^`]*)`")
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
    """Decodes JSON records of one type."""

    def __init__(self, record: type[msgspec.Struct], schema: pa.Schema) -> None:
        self._parse = msgspec.json.Decoder(record).decode
        self._values = attrgetter(*record.__struct_fields__)
        self._schema = schema
        self._times = [field.name for field in schema if pa.types.is_timestamp(field.type) and not field.nullable]

    def decode(self, records: Iterable[bytes]) -> Decoded:
        """Decodes records one by one into columns; see `Decoded`."""
        parse, values = self._parse, self._values
        good: list[tuple[object, ...]] = []
        rows: list[int] = []
        rejects: list[Reject] = []
        for row, record in enumerate(records):
            if len(record) > MAX_RECORD_BYTES:
                detail = f"{len(record)} bytes, allowed are {MAX_RECORD_BYTES}"
                rejects.append(Reject(row, Reason.OVERSIZE, None, detail))
                continue
            try:
                parsed = parse(record)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                rejects.append(_refusal(row, error))
                continue
            if contains_card_number(record):
                rejects.append(_card_number_refusal(row, parsed))
                continue
            good.append(values(parsed))
            rows.append(row)
        columns: Sequence[Sequence[object]] = list(zip(*good, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return self._without_odd_times(Decoded(batch, pa.array(rows, pa.int64()), rejects))

    def _without_odd_times(self, decoded: Decoded) -> Decoded:
        """Refuses times that a calendar holds and few programs do: a zone can even shift one out of the calendar."""
        odd: dict[int, str] = {}
        for name in self._times:
            times_ms = decoded.batch[name].cast(pa.int64()).to_numpy(zero_copy_only=False)
            odd |= dict.fromkeys(np.flatnonzero((times_ms < _FIRST_MS) | (times_ms >= _END_MS)).tolist(), name)
        if not odd:
            return decoded
        late = [
            Reject(decoded.rows[place].as_py(), Reason.INVALID, name, "lies outside the years 1970 to 2261")
            for place, name in odd.items()
        ]
        kept = pa.array([place not in odd for place in range(decoded.batch.num_rows)])
        rejects = sorted([*decoded.rejects, *late], key=lambda reject: reject.row)
        return Decoded(decoded.batch.filter(kept), decoded.rows.filter(kept), rejects)


def _refusal(row: int, error: Exception) -> Reject:
    text = redact(str(error).encode()).decode()
    if not isinstance(error, msgspec.ValidationError):
        return Reject(row, Reason.UNDECODABLE, None, text)
    missing = _MISSING_FIELD.search(text)
    path = _FIELD_PATH.search(text)
    field = missing.group(1) if missing else path.group(1) if path else None
    if field == "schema_version":
        return Reject(row, Reason.UNSUPPORTED_VERSION, field, text)
    return Reject(row, Reason.INVALID if field else Reason.UNDECODABLE, field, text)


def _card_number_refusal(row: int, parsed: msgspec.Struct) -> Reject:
    for field in parsed.__struct_fields__:
        value = getattr(parsed, field)
        if isinstance(value, str) and contains_card_number(value.encode()):
            return Reject(row, Reason.CARD_NUMBER, field, "holds a card number; send a token")
    return Reject(row, Reason.CARD_NUMBER, None, "an unknown field holds a card number")


TRANSACTIONS = RecordDecoder(Transaction, TRANSACTION_SCHEMA)
LABELS = RecordDecoder(Label, LABEL_SCHEMA)
