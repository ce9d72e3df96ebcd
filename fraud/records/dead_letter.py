"""Records that cannot be decided: each kept with its reason, its place in the stream and its bytes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from fraud.records import Row
from fraud.records.arrival import ARRIVAL_COLUMNS, ARRIVAL_FIELDS
from fraud.records.card_number import redact


class Reason(enum.StrEnum):
    """Why a record became a dead letter; the value is the stored reason code."""

    UNDECODABLE = "undecodable"  # not UTF-8, not JSON, not an object
    INVALID = "invalid"  # a field is missing, of the wrong type or outside its bounds
    UNSUPPORTED_VERSION = "unsupported_version"
    CARD_NUMBER = "card_number"  # a card number where a token belongs
    DUPLICATE = "duplicate"  # the transaction id was seen for this card within the duplicate horizon
    OVERSIZE = "oversize"
    TOO_OLD = "too_old"  # event time too far before arrival
    IN_FUTURE = "in_future"  # event time too far after arrival
    UNMATCHED_LABEL = "unmatched_label"  # a label whose transaction did not come, or of which several came
    CONFLICTING_ANSWER = "conflicting_answer"  # answered in the call, but another record of the payment was first
    UNTIMELY_ANSWER = "untimely_answer"  # answered in the call, too long before or after it came to the stream


class Reject(NamedTuple):
    """One record that decoding refused.

    Attributes:
        row: its position among the records given to the decoder.
        reason: the reason code.
        field: the field at fault, where one is.
        detail: the decoder's words, without the record's values.
    """

    row: int
    reason: Reason
    field: str | None
    detail: str


DEAD_LETTER_SCHEMA = pa.schema(
    [
        *ARRIVAL_FIELDS,
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("data", pa.binary(), nullable=False),  # original bytes, card numbers redacted
        pa.field("replayable", pa.bool_(), nullable=False),  # false where redaction changed the bytes
    ]
)


def dead_letters(records: pa.RecordBatch, rejects: Sequence[Reject]) -> pa.RecordBatch:
    """Builds `DEAD_LETTER_SCHEMA`; card numbers are redacted.

    Args:
        records: arrival and the bytes as received, in the column `data` or `raw`; without either, as in histories that
            keep no bytes, a dead letter has none and cannot be replayed.
        rejects: the reason for each, in the order of the records.
    """
    bytes_in = next((name for name in ("data", "raw") if name in records.schema.names), None)
    originals = [b""] * records.num_rows if bytes_in is None else records[bytes_in].to_pylist()
    redacted = [redact(data) for data in originals]
    columns = [
        *(records[name] for name in ARRIVAL_COLUMNS),
        pa.array([reject.reason.value for reject in rejects], pa.string()),
        pa.array([reject.field for reject in rejects], pa.string()),
        pa.array([reject.detail for reject in rejects], pa.string()),
        pa.array(redacted, pa.binary()),
        pa.array([_replayable(*both) for both in zip(originals, redacted, strict=True)], pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=DEAD_LETTER_SCHEMA)


def dead_letter(record: Row, reject: Reject) -> Row:
    """The same of a single record."""
    data: bytes = record.get("raw", b"")
    redacted = redact(data)
    return Row(
        {name: record.get(name) for name in ARRIVAL_COLUMNS},
        reason=reject.reason.value,
        field=reject.field,
        detail=reject.detail,
        data=redacted,
        replayable=_replayable(data, redacted),
    )


def _replayable(original: bytes, kept: bytes) -> bool:
    return bool(original) and original == kept
