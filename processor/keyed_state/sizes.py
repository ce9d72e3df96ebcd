"""What a key group of the state takes, as it travels with the records of a batch to the metrics."""

from __future__ import annotations

import pyarrow as pa

from fraud.entities import Entity
from processor.keyed_state.group import Change

SIZE_SCHEMA = pa.schema(
    [
        ("entity", pa.string()),
        ("key_group", pa.int32()),
        *((name, pa.int64()) for name in ("keys", "events", "copy_bytes", "log_bytes", "owed_bytes", "free_bytes")),
    ]
)
"""A row for each key group that says so; see `processor.sink.report.GroupSize`."""

SAID_EVERY = 32
"""Batches between two looks of one key group: saying it costs a row between the stages."""


def is_due(batch: int, group: int, change: Change) -> bool:
    """Whether a key group says in a batch what it takes; groups take turns."""
    return change.rebuilt or batch % SAID_EVERY == group % SAID_EVERY


def size_of(entity: Entity, group: int, change: Change, free_bytes: int) -> pa.RecordBatch:
    """The row of a key group after a batch; the volume of its local copy has so much room left."""
    size, head = change.size, change.head
    of_log = (head.log_bytes, max(0, head.owed))
    row = (entity.name, group, size.keys, size.events, size.bytes, *of_log, free_bytes)
    return pa.RecordBatch.from_pylist([dict(zip(SIZE_SCHEMA.names, row, strict=True))], schema=SIZE_SCHEMA)
