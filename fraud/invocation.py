"""What a model endpoint and its caller agree on: media type, Arrow streams, and whose scores they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

ARROW_STREAM = "application/vnd.apache.arrow.stream"
"""Media type of rows and scores as an Arrow IPC stream."""

MAX_BODY_BYTES = 6 << 20
"""Largest body of a real-time invocation; SageMaker's own limit."""

ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
"""Header of an answer that SageMaker hands to the caller as `CustomAttributes`; at most 1,024 characters."""

_SCORE = "score"


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


def rows_from_stream(body: bytes, names: Sequence[str]) -> pa.RecordBatch:
    """Reads rows that have at least the named features, as numbers.

    Raises:
        KeyError: a feature is missing.
        pa.ArrowException: not an Arrow stream, or not numbers.
    """
    table = pa.ipc.open_stream(body).read_all().select(list(names)).combine_chunks()
    columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.columns]
    return pa.RecordBatch.from_arrays(
        [column if pa.types.is_floating(column.type) else column.cast(pa.float64()) for column in columns],
        names=list(names),
    )


def scores_to_stream(scores: pa.Array) -> bytes:
    """Scores in the order of the rows."""
    return _stream(pa.RecordBatch.from_arrays([scores], names=[_SCORE]))


def scores_from_stream(body: bytes, rows: int) -> pa.Array:
    """Reads the scores of so many rows.

    Raises:
        ValueError: not one probability for each row; `pa.ArrowInvalid` is one.
        KeyError: no scores.
    """
    column = pa.ipc.open_stream(body).read_all()[_SCORE]
    if column.type != pa.float64() or len(column) != rows or column.null_count:
        raise ValueError(f"{len(column)} scores ({column.type}, {column.null_count} null) for {rows} rows")
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.float64())


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
