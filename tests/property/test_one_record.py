"""One record at a time, without Arrow, gives what the same records give as columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.entities import ENTITIES
from fraud.path import FeaturePath
from fraud.records import Records, Row
from fraud.records.arrival import ARRIVAL_COLUMNS, RECORD_SCHEMA
from fraud.records.intake import Intake
from fraud.records.notes import totals
from tests.property.test_poison import RAW, mutated
from tests.support.feature_streams import Stream, streams, tables
from tests.support.paths import settings_keeping
from tests.support.records import NOON, label, stream_records, transaction

JOB = settings_keeping(dict.fromkeys(ENTITIES, 64))


@settings(max_examples=60, deadline=None)
@given(streams(most=60))
def test_every_value_is_that_of_the_batch(stream: Stream) -> None:
    as_columns, one_by_one = FeaturePath(JOB), FeaturePath(JOB)
    wanted = as_columns.advance(Records(*(one_batch(table) for table in tables(stream))))
    found: list[Row] = []
    refused: list[Row] = []
    for kind, record in stream:
        row = Row(record)
        after = one_by_one.advance(Records(row) if kind == "transaction" else Records(labels=row))
        found += [] if after.transactions is None else [after.transactions]
        refused += [] if after.dead_letters is None else [after.dead_letters]
    assert found == rows_of(wanted.transactions)
    assert sorted(refused, key=place) == sorted(rows_of(wanted.dead_letters), key=place)


def one_batch(table: pa.Table) -> pa.RecordBatch | None:
    return table.combine_chunks().to_batches()[0] if table.num_rows else None


def rows_of(part: pa.RecordBatch | None) -> list[dict[str, Any]]:
    return [] if part is None else part.to_pylist()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(mutated(transaction(recorded_arrival=NOON)), mutated(label(recorded_arrival=NOON)), RAW), max_size=6
    ),
    st.sampled_from(["transactions", "labels"]),
    st.none() | st.just(86_400_000),
    st.booleans(),
)
def test_a_record_is_decoded_or_refused_as_in_a_batch(
    records: list[bytes], stream: str, limit_ms: int | None, honours_recorded: bool
) -> None:
    intake = Intake("labels", limit_ms, limit_ms, honours_recorded)
    arrived = stream_records(records, stream=stream)
    wanted = intake.read(arrived) if records else Records()
    found = Records([], [], [], [])
    for record in arrived.to_pylist():
        read = intake.read_one(Row({name: record[name] for name in ARRIVAL_COLUMNS}), record["data"])
        for kind, row in read.kinds():
            getattr(found, kind).append({name: in_milliseconds(value) for name, value in row.items()})
    assert RECORD_SCHEMA.equals(arrived.schema)
    ignored = sum(row["recorded_arrival_ignored"] for row in found.notes or [])
    assert ignored == (0 if wanted.notes is None else totals(wanted.notes)["recorded_arrival_ignored"])
    for part, rows in zip(wanted[:3], found[:3], strict=True):
        assert rows is not None
        assert sorted(rows, key=place) == sorted(rows_of(part), key=place)


def in_milliseconds(value: Any) -> Any:
    return pa.scalar(value, pa.timestamp("ms", tz="UTC")).as_py() if hasattr(value, "microsecond") else value


def place(row: dict[str, Any]) -> str:
    return str(row["sequence_number"])
