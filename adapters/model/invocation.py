"""What a model endpoint and its caller agree on: media type, Arrow streams, and whose scores they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from adapters.model.arrow_bounds import batch_sizes
from fraud.decision.scorer import require_probabilities

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of rows and scores as an Arrow IPC stream."""

MAX_BODY_BYTES = 6 << 20
"""Largest body of a real-time invocation; SageMaker's own limit."""

MAX_ROWS = 10_000
"""Most rows of an invocation; `endpoint.rows` goes no further."""

MAX_UNPACKED_BYTES = 64 << 20
"""Most bytes that the columns of an invocation unpack to."""

ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
"""Header of an answer that SageMaker hands to the caller as `CustomAttributes`; at most 1,024 characters."""

_SCORE = "score"
_OF_SCORERS = (pa.float32(), pa.float64())
"""Types that a scorer takes side by side."""


class ModelIdentity(NamedTuple):
    """Which model scored.

    Attributes:
        version: of the artifact.
        definition_hash: of the feature definitions that it was trained on.
    """

    version: str
    definition_hash: str

    def to_attributes(self) -> str:
        """As custom attributes.

        >>> ModelIdentity("7932d94b28aa", "1f8298aac4329aac").to_attributes()
        'model=7932d94b28aa;definitions=1f8298aac4329aac'
        """
        return f"model={self.version};definitions={self.definition_hash}"

    @classmethod
    def from_attributes(cls, attributes: str) -> ModelIdentity | None:
        """Reads custom attributes; others are ignored, None where one is missing.

        >>> ModelIdentity.from_attributes("trace=7; model=a; definitions=b")
        ModelIdentity(version='a', definition_hash='b')
        >>> ModelIdentity.from_attributes("model=a") is None
        True
        """
        found = dict(part.strip().partition("=")[::2] for part in attributes.split(";"))
        if not found.get("model") or not found.get("definitions"):
            return None
        return cls(found["model"], found["definitions"])


def rows_to_stream(features: pa.RecordBatch, names: Sequence[str]) -> bytes:
    """The named features of a batch as float32, which the trees compare with: half the bytes, the same scores."""
    columns = [features[name].cast(pa.float32()) for name in names]
    return _stream(pa.RecordBatch.from_arrays(columns, names=list(names)))


class TooLargeError(ValueError):
    """More than an invocation may hold."""


def require_rows(rows: int) -> None:
    """Refuses more rows than an invocation may have; raises TooLargeError."""
    if rows > MAX_ROWS:
        raise TooLargeError(f"more than {MAX_ROWS:,} rows in one call")


def rows_from_stream(body: bytes, names: Sequence[str]) -> pa.RecordBatch:
    """Reads rows that have at least the named features, as numbers.

    Its size is known before anything is unpacked, and columns that are not asked for are left alone.

    Raises:
        TooLargeError: more than `MAX_ROWS` rows or `MAX_UNPACKED_BYTES`.
        ValueError: not an Arrow stream, a feature is missing, given twice or no number, or the stream contradicts
            itself.
        OSError: it ends too early.
    """
    _require_bounded(body)
    schema = pa.ipc.open_stream(body).schema
    places = [schema.get_field_index(name) for name in names]
    if missing := [name for name, place in zip(names, places, strict=True) if place < 0]:
        raise ValueError(f"features missing or given twice: {', '.join(missing[:5])}")
    if others := [name for name, place in zip(names, places, strict=True) if not _is_number(schema.types[place])]:
        raise ValueError(f"features that are no numbers: {', '.join(others[:5])}")
    table = pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(included_fields=places)).read_all()
    table.validate(full=True)  # a column may claim more rows than its bytes hold
    table = table.select(list(names)).combine_chunks()
    columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.columns]
    return pa.RecordBatch.from_arrays(
        [column if column.type in _OF_SCORERS else column.cast(pa.float64()) for column in columns],
        names=list(names),
    )


def _require_bounded(body: bytes) -> None:
    """Refuses a stream that would unpack to more than an invocation may hold, before it is unpacked."""
    rows = unpacked = 0
    for batch in batch_sizes(body):
        if batch.rows < 0 or batch.buffer_bytes < 0:
            raise ValueError("an Arrow batch of negative size")
        rows, unpacked = rows + batch.rows, unpacked + batch.buffer_bytes
        require_rows(rows)
        if unpacked > MAX_UNPACKED_BYTES:
            raise TooLargeError(f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def scores_to_stream(scores: pa.Array) -> bytes:
    """Scores in the order of the rows."""
    return _stream(pa.RecordBatch.from_arrays([scores], names=[_SCORE]))


def scores_from_stream(body: bytes, rows: int) -> pa.Array:
    """Reads the scores of so many rows.

    Raises:
        ValueError: not one probability for each row, whatever else it is.
    """
    try:
        _require_bounded(body)
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
        column = table[_SCORE]
    except Exception as error:  # the reader of foreign bytes may end in any error
        raise ValueError(f"not an Arrow stream with scores: {error}") from error
    score = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    require_probabilities(score, rows)
    return score


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
