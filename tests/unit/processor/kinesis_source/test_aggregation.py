"""Aggregates written by the foreign library are unpacked; everything else is left as it is."""

from __future__ import annotations

from aws_kinesis_agg.aggregator import RecordAggregator
from hypothesis import given
from hypothesis import strategies as st

from processor.kinesis_source.aggregation import MAGIC, unpack
from processor.kinesis_source.rows import Chunk, Record

USER_RECORDS = st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=300)), min_size=1, max_size=30)


def aggregate(records: list[tuple[str, bytes]]) -> bytes:
    aggregator = RecordAggregator()
    for key, data in records:
        aggregator.add_user_record(key, data)
    return bytes(aggregator.clear_and_get().get_contents()[2])


@given(USER_RECORDS)
def test_foreign_aggregates_are_unpacked_in_order(records: list[tuple[str, bytes]]) -> None:
    assert unpack(aggregate(records)) == records


@given(st.binary(max_size=200))
def test_arbitrary_bytes_behind_the_magic_are_a_plain_record(data: bytes) -> None:
    assert unpack(MAGIC + data) is None


@given(USER_RECORDS, st.integers(0, 10_000))
def test_a_damaged_aggregate_is_a_plain_record(records: list[tuple[str, bytes]], place: int) -> None:
    damaged = bytearray(aggregate(records))
    at = len(MAGIC) + place % (len(damaged) - len(MAGIC))
    damaged[at] ^= 1
    assert unpack(bytes(damaged)) is None


def test_rows_carry_the_sub_sequence_and_cuts_fall_between_records() -> None:
    packed = aggregate([("x", b"1"), ("y", b"2"), ("x", b"3")])
    chunk = Chunk(
        ("s", "a"), [Record("10", 5, "k", b"plain"), Record("11", 6, "a", packed), Record("12", 7, "k", b"z")]
    )
    rows = chunk.rows(0, 3).to_pylist()
    assert [(row["sequence_number"], row["sub_sequence"], row["partition_key"]) for row in rows] == [
        ("10", 0, "k"),
        ("11", 0, "x"),
        ("11", 1, "y"),
        ("11", 2, "x"),
        ("12", 0, "k"),
    ]
    assert [chunk.end_within(0, rows, 10_000) for rows in (0, 1, 3, 4, 5)] == [0, 1, 1, 2, 3]
    assert chunk.end_within(1, 2, 10_000) == 1  # the aggregate has three
