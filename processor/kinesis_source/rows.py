"""The rows of the source: the record schema of the domain plus the partition key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import pyarrow as pa

from fraud.records.arrival import RECORD_SCHEMA
from processor.kinesis_source.aggregation import unpack
from processor.kinesis_source.offsets import ShardId

ROW_SCHEMA = pa.schema(
    [field.with_nullable(True) for field in RECORD_SCHEMA.append(pa.field("partition_key", pa.string()))]
)
"""Nullable throughout, because Spark declares the columns of a Python source so."""

SPARK_SCHEMA = (
    "stream string, shard string, sequence_number string, sub_sequence bigint, arrival_ms bigint, data binary, "
    "partition_key string"
)


class Record(NamedTuple):
    """A Kinesis record as it was read."""

    sequence_number: str
    arrival_ms: int
    partition_key: str
    data: bytes


class Chunk:
    """Consecutive records of one shard, as rows. It can be cut between records, never inside an aggregate.

    Attributes:
        names: sequence number of each record, as the service writes it.
        sequences: the same as integers, ascending.
        arrivals_ms: of each record.
        row_ends: rows up to and including each record; more than one a record where it is an aggregate.
        byte_ends: bytes up to and including each record: of a plain one its data, of an aggregate its rows.
        read_bytes: bytes of all data as it was read.
    """

    def __init__(self, place: ShardId, records: Sequence[Record]) -> None:
        self.names = [record.sequence_number for record in records]
        self.sequences = [int(record.sequence_number) for record in records]
        self.arrivals_ms = [record.arrival_ms for record in records]
        self.read_bytes = sum(len(record.data) for record in records)
        self.row_ends, self.byte_ends, self._rows = _to_rows(place, records)

    def __len__(self) -> int:
        return len(self.sequences)

    def index_after(self, sequence: int) -> int:
        """How many of the records are at or before a sequence number."""
        return bisect_right(self.sequences, sequence)

    def rows_between(self, start: int, end: int) -> int:
        """Rows of the records from index `start` up to, without, `end`."""
        return self._upto(self.row_ends, end) - self._upto(self.row_ends, start)

    def bytes_between(self, start: int, end: int) -> int:
        """Bytes of the records from index `start` up to, without, `end`."""
        return self._upto(self.byte_ends, end) - self._upto(self.byte_ends, start)

    def end_within(self, start: int, rows: int, size: int) -> int:
        """The furthest end with at most so many rows and bytes from `start` on."""
        by_rows = bisect_right(self.row_ends, self._upto(self.row_ends, start) + rows)
        by_size = bisect_right(self.byte_ends, self._upto(self.byte_ends, start) + size)
        return max(start, min(by_rows, by_size))

    def rows(self, start: int, end: int) -> pa.RecordBatch:
        """The rows of the records from index `start` up to, without, `end`; nothing is copied."""
        return self._rows.slice(self._upto(self.row_ends, start), self.rows_between(start, end))

    @staticmethod
    def _upto(ends: list[int], index: int) -> int:
        return ends[index - 1] if index else 0


def _to_rows(place: ShardId, records: Sequence[Record]) -> tuple[list[int], list[int], pa.RecordBatch]:
    sequences, subs, arrivals, data, keys, ends, sizes = [], [], [], [], [], [], []
    for record in records:
        inside = unpack(record.data)
        sizes.append(sum(one.size for one in inside) if inside else len(record.data))
        for sub, (key, content) in enumerate(inside or [(record.partition_key, record.data)]):
            sequences.append(record.sequence_number)
            subs.append(sub)
            arrivals.append(record.arrival_ms)
            data.append(content)
            keys.append(key)
        ends.append(len(data))
    stream, shard = place
    columns = [
        pa.repeat(pa.scalar(stream), len(data)),
        pa.repeat(pa.scalar(shard), len(data)),
        pa.array(sequences, pa.string()),
        pa.array(subs, pa.int64()),
        pa.array(arrivals, pa.int64()),
        pa.array(data, pa.binary()),
        pa.array(keys, pa.string()),
    ]
    return ends, list(accumulate(sizes)), pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)


def to_ipc(batches: Sequence[pa.RecordBatch]) -> bytes:
    """Batches of rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ROW_SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
