"""Records that cannot be decided: each kept with its reason, its place in the stream and its bytes."""

from __future__ import annotations

import enum
from typing import NamedTuple

import pyarrow as pa

from fraud.arrival import ARRIVAL_FIELDS


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
