"""Aggregates written by the foreign library are unpacked; everything else is left as it is."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from hypothesis import given
from hypothesis import strategies as st

from fraud.records.intake import Intake
from processor.kinesis_source.aggregation import MAGIC, MAX_GROWTH, unpack
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


def sealed(body: bytes) -> bytes:
    """A message as an aggregate with the right digest."""
    return MAGIC + body + hashlib.md5(body, usedforsecurity=False).digest()


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def keyed(index: int, data: bytes = b"") -> bytes:
    return field(3, field(1, index) + field(3, data))


KEY = field(1, b"key")
HOSTILE = {
    "a number without end": b"\x80" * 260_000,
    "a number of 70 bits": b"\x80" * 10 + b"\x01",
    "a length without end": field(1, b"k") + b"\x1a" + b"\xff" * 200_000,
    "a long key many times": field(1, b"k" * 20_000) + keyed(0) * 100_000,
    "the longest key many times": field(1, b"k" * 256) + keyed(0) * 20_000,
    "a key that is no text": field(1, b"\xff") + keyed(0, b"{}"),
    "an empty key": field(1, b"") + keyed(0, b"{}"),
    "a key that is not there": KEY + keyed(1, b"{}"),
    "a key that is far away": KEY + keyed(2**63, b"{}"),
    "no data": KEY + field(3, field(1, 0)),
    "no key": KEY + field(3, field(3, b"{}")),
    "a field beyond the end": KEY + b"\x1a\x7f",
    "a wire type of its own": KEY + b"\x1d1234",
    "no user record": KEY,
    "nothing": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_aggregate_is_one_plain_record_and_so_a_dead_letter(body: bytes) -> None:
    record = Record("10", 5, "k", sealed(body))
    tracemalloc.start()
    chunk = Chunk(("s", "a"), [record, Record("11", 6, "k", b"{}")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * (len(body) + 1_000)  # of Python's objects; the rows are bounded by `MAX_GROWTH`
    rows = chunk.rows(0, 2)
    assert rows["data"].to_pylist() == [record.data, b"{}"]
    dead_letters = Intake("labels").read(rows).dead_letters
    assert dead_letters is not None
    refused = dead_letters.to_pylist()[0]
    assert (refused["reason"], refused["data"]) == ("oversize" if len(body) > 16_384 else "undecodable", record.data)


@given(st.binary(max_size=60) | st.lists(st.sampled_from([KEY, keyed(0, b"{}"), keyed(0), b"\x1a"])).map(b"".join))
def test_an_aggregate_never_grows_beyond_its_bound(body: bytes) -> None:
    records = unpack(sealed(body))
    assert records is None or sum(record.size for record in records) <= MAX_GROWTH * len(body)


def test_the_bytes_of_a_chunk_are_those_of_its_rows() -> None:
    packed = sealed(field(1, b"k" * 100) + keyed(0, b"x" * 50) * 40)
    chunk = Chunk(("s", "a"), [Record("10", 5, "k", b"plain"), Record("11", 6, "k", packed)])
    assert chunk.byte_ends == [5, 5 + 40 * (64 + 100 + 50)]
    assert chunk.read_bytes == 5 + len(packed)
