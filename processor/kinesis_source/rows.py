"""The rows of the source: the record schema of the domain plus the partition key."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fraud.arrival import RECORD_SCHEMA
from processor.kinesis_source.fetch import Record
from processor.kinesis_source.offsets import Place

ROW_SCHEMA = pa.schema(
    [field.with_nullable(True) for field in RECORD_SCHEMA.append(pa.field("partition_key", pa.string()))]
)
"""Nullable throughout, because Spark declares the columns of a Python source so."""

SPARK_SCHEMA = (
    "stream string, shard string, sequence_number string, sub_sequence bigint, arrival_ms bigint, data binary, "
    "partition_key string"
)


def to_rows(place: Place, records: Sequence[Record]) -> pa.RecordBatch:
    """Records of one shard as columns."""
    stream, shard = place
    count = len(records)
    columns = [
        pa.repeat(pa.scalar(stream), count),
        pa.repeat(pa.scalar(shard), count),
        pa.array([record.sequence_number for record in records], pa.string()),
        pa.repeat(pa.scalar(0, pa.int64()), count),
        pa.array([record.arrival_ms for record in records], pa.int64()),
        pa.array([record.data for record in records], pa.binary()),
        pa.array([record.partition_key for record in records], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)
