"""What arrives in a sink partition is put into arrival order, whatever the order in which it comes."""

from __future__ import annotations

import pyarrow as pa

from fraud.features import SHIPPED
from fraud.records import Records
from processor.envelope import pack
from processor.sink.assemble import assemble
from tests.support.records import stream_records


def rows(*parts: tuple[str, pa.RecordBatch]) -> list[pa.RecordBatch]:
    columns = {
        "key_group": [0] * len(parts),
        "kind": [kind for kind, _ in parts],
        "payload": [pack(batch) for _, batch in parts],
    }
    return [pa.RecordBatch.from_pydict(columns)]


def test_payloads_of_several_key_groups_are_put_into_arrival_order() -> None:
    records = stream_records([b"a", b"b", b"c", b"d"])
    odd, even = records.take(pa.array([3, 1])), records.take(pa.array([0, 2]))
    assembled = assemble(rows(("transactions", odd), ("labels", records), ("transactions", even)), SHIPPED)
    assert assembled.transactions is not None
    assert assembled.transactions["data"].to_pylist() == [b"a", b"b", b"c", b"d"]
    assert assembled.labels is not None
    assert assembled.dead_letters is None


def test_sequence_numbers_are_compared_as_numbers() -> None:
    records = stream_records([b"later", b"earlier"])
    numbers = pa.array(["10", "9"])
    same_time = pa.array([0, 0], pa.int64())
    columns = [
        numbers if name == "sequence_number" else same_time if name == "arrival_ms" else records[name]
        for name in records.schema.names
    ]
    assembled = assemble(rows(("labels", pa.RecordBatch.from_arrays(columns, schema=records.schema))), SHIPPED)
    assert assembled.labels is not None
    assert assembled.labels["data"].to_pylist() == [b"earlier", b"later"]


def test_an_empty_partition_holds_nothing() -> None:
    assert assemble([], SHIPPED) == Records()
