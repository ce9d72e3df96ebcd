"""Where and when a record arrived, and the one total order that follows from it.

Inside a batch, records are ordered by (`arrival_ms`, `stream`, `shard`, sequence number as an integer, `sub_sequence`).
Batches are ordered by their id. State, training, backtest and the oracle all fold in this order, so cutting the
same records into other batches must not change it: the source plans batches such that no record of a later
batch precedes one of an earlier batch *of the same shard*, and the archive stores the batch with each record.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

ARRIVAL_FIELDS = (
    pa.field("stream", pa.string(), nullable=False),
    pa.field("shard", pa.string(), nullable=False),
    pa.field("sequence_number", pa.string(), nullable=False),  # decimal digits, up to 128 bits and more
    pa.field("sub_sequence", pa.int64(), nullable=False),  # place inside a KPL aggregate, otherwise 0
    pa.field("arrival_ms", pa.int64(), nullable=False),  # approximate arrival at the stream, UTC epoch
)
ARRIVAL_COLUMNS = tuple(field.name for field in ARRIVAL_FIELDS)

RAW_FIELD = pa.field("raw", pa.binary(), nullable=False)
"""The bytes as received, kept beside the decoded columns."""

RECORD_SCHEMA = pa.schema([*ARRIVAL_FIELDS, pa.field("data", pa.binary(), nullable=False)])
"""A record as any source delivers it: its place in the stream and its bytes."""


def arrival_order(batch: pa.RecordBatch | pa.Table) -> pa.Array:
    """The row indices that put a batch into arrival order.

    Sequence numbers are compared as integers: by length, then by digits.
    """
    keys = pa.table(
        {
            "arrival_ms": batch["arrival_ms"],
            "stream": batch["stream"],
            "shard": batch["shard"],
            "digits": pc.binary_length(batch["sequence_number"]),
            "sequence_number": batch["sequence_number"],
            "sub_sequence": batch["sub_sequence"],
        }
    )
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
