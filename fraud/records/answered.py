"""A transaction that was decided in the call: its record on the stream carries the decision as it was answered.

Such a record is version 2 of the wire format: the version 1 record, byte for byte, beside the answer, the id of a key
and a MAC over both. Who knows version 1 only refuses it as `unsupported_version` and can replay it later; nobody takes
it for a record without an answer. Only who has the secret of a key can write an answer that counts.
"""

from __future__ import annotations

import enum
import hmac
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Meta

from fraud.decision.record import Verdict
from fraud.records.decode import MAX_RECORD_BYTES
from fraud.records.schema import END_MS, FIRST_MS, whole

MAX_ANSWER_BYTES = 65_536
"""Of an answer on its record; about 1,800 are usual, most of them features."""

MIN_SECRET_BYTES = 32
"""As long as the MAC: a shorter one would be easier to guess than it."""

MAX_SEALED_BYTES = MAX_RECORD_BYTES + MAX_ANSWER_BYTES + 1_024
"""Of a record with its answer."""

_PREFIX = b'{"schema_version":2,"transaction":'
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")

_Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=whole(r"[\x21-\x7e]+"))]
_Time = Annotated[int, Meta(ge=FIRST_MS, lt=END_MS)]


class Answered(Verdict, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A decision as it was answered.

    Attributes:
        decision_key: of the decision, see `fraud.decision.key`.
        received_ms: when the service received the transaction, UTC milliseconds: its arrival.
        decided_ms: when it had decided.
        instance: id of the service's process.
        exact: by entity, whether its windows were whole; without the entities that the transaction lacks.
        catalogue: `fraud.features.definition_hash` of the features; null without them.
        features: the values that were decided by, in the order of the catalogue (`packed`); null where the answer had
            no room for them.
    """

    decision_key: Annotated[str, Meta(pattern=whole("[a-p]{40}"))]
    received_ms: _Time
    decided_ms: _Time
    instance: _Name
    exact: dict[str, bool]
    catalogue: str | None = None
    features: bytes | None = None


def packed(values: Iterable[float | None]) -> bytes:
    """Values of features as bytes: little-endian doubles, NaN for null.

    >>> unpacked(packed([0.5, None]))
    [0.5, None]
    """
    given = [math.nan if value is None else value for value in values]
    return struct.pack(f"<{len(given)}d", *given)


def unpacked(features: bytes) -> list[float | None]:
    """The inverse of `packed`."""
    return [None if value != value else value for value in np.frombuffer(features, "<f8").tolist()]


@dataclass(frozen=True)
class AnswerKey:
    """A key that answers are authenticated with.

    Attributes:
        id: stands on the record; it names one secret for ever.
        secret: at least `MIN_SECRET_BYTES` random bytes; in no text of the key.
    """

    id: str
    secret: bytes = field(repr=False)

    def mac(self, record: bytes, answer: bytes) -> str:
        """The MAC: 64 letters from a to p, which are never taken for a card number.

        HMAC-SHA-256 over the text

            "answer 2", space, id, space, length of record, space, length of answer, newline, record, answer

        whose lengths make the text of any two pairs differ.
        """
        text = b"answer 2 %b %d %d\n%b%b" % (self.id.encode(), len(record), len(answer), record, answer)
        return hmac.digest(self.secret, text, "sha256").hex().translate(_LETTERS)


ANSWERED_FIELD = pa.field("answered", pa.bool_(), nullable=False)
"""Of a decoded transaction: whether it carries an answer that counts."""


def answered_among(transactions: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which transactions carry an answer that counts: none of those that were not on a stream."""
    if ANSWERED_FIELD.name not in transactions.schema.names:
        return np.zeros(transactions.num_rows, np.bool_)
    return np.asarray(transactions[ANSWERED_FIELD.name].to_numpy(zero_copy_only=False), np.bool_)


class Problem(enum.StrEnum):
    """Why the answer on a record does not count."""

    UNVERIFIED = "unverified"  # its key is unknown here, or its MAC is another's
    UNREADABLE = "unreadable"  # authentic, but this version cannot read it


class Unsealed(NamedTuple):
    """What a record of the stream of transactions was made of.

    Attributes:
        record: in version 1, as it was sent to the service; else the bytes as they came.
        answered: its answer; None where it has none that counts.
        problem: why the answer that it has does not count; None otherwise.
    """

    record: bytes
    answered: Answered | None = None
    problem: Problem | None = None


class _Sealed(msgspec.Struct, gc=False):
    transaction: msgspec.Raw
    answer: msgspec.Raw = msgspec.Raw(b"null")
    key: str = ""
    mac: str = ""


_parse = msgspec.json.Decoder(_Sealed).decode
_parse_answer = msgspec.json.Decoder(Answered).decode
_encode = msgspec.json.Encoder().encode


class Fitted(NamedTuple):
    """An answer that a record has room for.

    Attributes:
        answered: what is answered.
        encoded: the same as it stands on the record.
        left_out: what of it had to go, in words; None for nothing.
    """

    answered: Answered
    encoded: bytes
    left_out: str | None = None


def fitted(answered: Answered) -> Fitted:
    """The answer, or as much of it as `MAX_ANSWER_BYTES` hold.

    Its features go first: they are there for comparison only. Then its lists are cut, rules and reasons to their first,
    which are the most important ones, as short as it takes; all else is short. So every decision has an answer.
    """
    encoded = _encode(answered)
    if len(encoded) <= MAX_ANSWER_BYTES:
        return Fitted(answered, encoded)
    answered = msgspec.structs.replace(answered, features=None, catalogue=None)
    encoded = _encode(answered)
    left_out = "its features"
    most = max(len(getattr(answered, name)) for name in _LISTS)
    while len(encoded) > MAX_ANSWER_BYTES:
        most //= 2
        answered = msgspec.structs.replace(answered, **{name: getattr(answered, name)[:most] for name in _LISTS})
        encoded = _encode(answered)
        left_out = f"its features, and of rules, lists and reasons all but the first {most}"
    return Fitted(answered, encoded, left_out)


_LISTS = ("rules", "reason_codes", "reasons", "lists", "silenced_rules", "undefined_rules", "shadow_rules")


def seal(record: bytes, answer: Fitted, key: AnswerKey) -> bytes:
    """The record on the stream of a transaction that was answered.

    Args:
        record: in version 1, as `fraud.records.decode` accepts it.
        answer: its decision, as `fitted` gives it.
        key: to authenticate it with.

    Raises:
        ValueError: the record carries an answer already.
    """
    record = record.strip(b" \t\r\n")
    if is_sealed(record):
        raise ValueError("the record carries an answer already")
    parts = (_PREFIX, record, b',"answer":', answer.encoded, b',"key":', _encode(key.id), b',"mac":"')
    return b"".join((*parts, key.mac(record, answer.encoded).encode(), b'"}'))


def is_sealed(data: bytes) -> bool:
    """Whether a record of the stream claims to carry an answer.

    >>> is_sealed(b'{"schema_version": 1}')
    False
    """
    return data.startswith(_PREFIX)


def answer_of(data: bytes) -> Answered:
    """The answer on a record of the stream; only of one that was found to count (`unseal`)."""
    return _parse_answer(_parse(data).answer)


def record_in(data: bytes) -> bytes:
    """The record in version 1 of a record of the stream that was accepted: of one with an answer, what was answered."""
    return bytes(_parse(data).transaction) if is_sealed(data) else data


def unseal(data: bytes, keys: Mapping[str, AnswerKey]) -> Unsealed:
    """Takes a record of the stream apart; never raises.

    What is no sealed record, or a damaged one, comes back as it is, for the decoder to accept or refuse.

    Args:
        data: the bytes as received.
        keys: those that count, by id.
    """
    if not is_sealed(data) or len(data) > MAX_SEALED_BYTES:
        return Unsealed(data)
    try:
        sealed = _parse(data)
        record, answer = bytes(sealed.transaction), bytes(sealed.answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unsealed(data)
    key = keys.get(sealed.key)
    authentic = key is not None and hmac.compare_digest(
        key.mac(record, answer).encode(), sealed.mac.encode("utf-8", "replace")
    )
    if not authentic:
        return Unsealed(record, problem=Problem.UNVERIFIED)
    if len(answer) > MAX_ANSWER_BYTES:
        return Unsealed(record, problem=Problem.UNREADABLE)
    try:
        return Unsealed(record, _parse_answer(answer))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unsealed(record, problem=Problem.UNREADABLE)
