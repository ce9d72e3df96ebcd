"""Puts what arrives in a sink partition into arrival order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from fraud.arrival import arrival_order
from fraud.features.stage import with_every_feature
from processor.envelope import Kind, collect


class Assembled(NamedTuple):
    """What a partition holds, each in arrival order; None where there is nothing.

    Attributes:
        transactions: arrival, transaction, raw, and the features of every entity.
        labels: arrival, label, raw.
        dead_letters: `fraud.dead_letter.DEAD_LETTER_SCHEMA`.
    """

    transactions: pa.RecordBatch | None
    labels: pa.RecordBatch | None
    dead_letters: pa.RecordBatch | None


def assemble(rows: Iterable[pa.RecordBatch]) -> Assembled:
    """Collects `processor.envelope.ROWS` of one partition and one batch."""
    parts = collect(
        pair for batch in rows for pair in zip(batch["kind"].to_pylist(), batch["payload"].to_pylist(), strict=True)
    )
    transactions = _in_order(parts.get(Kind.TRANSACTIONS))
    return Assembled(
        None if transactions is None else with_every_feature(transactions),
        _in_order(parts.get(Kind.LABELS)),
        _in_order(parts.get(Kind.DEAD_LETTERS)),
    )


def _in_order(records: pa.RecordBatch | None) -> pa.RecordBatch | None:
    return None if records is None or not records.num_rows else records.take(arrival_order(records))
