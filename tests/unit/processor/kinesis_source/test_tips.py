"""Streams that executors read: the driver finds out where batches end, and fetches few of their records."""

# ruff: noqa: N803  # the API's names
# ruff: noqa: TID251  # the reader goes by this machine's clock where an answer has no date

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql.streaming.datasource import ReadMaxRows

from adapters.aws.errors import ServiceClient
from embedded.simulation.kinesis import InMemoryKinesis
from processor.kinesis_source.offsets import EARLIEST, Position
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import KinesisStreamReader, ShardRange
from processor.kinesis_source.tips import TipReader

PLACE = ("s", "shardId-000000000000")
LIMIT = ReadMaxRows(100_000)
SPAN_MS = 1_000


class CountingKinesis(InMemoryKinesis):
    """Counts the records that GetRecords gives, by its callers' limits."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self.given = 0

    def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:
        answer = super().get_records(ShardIterator, Limit)
        self.given += len(answer["Records"])
        return answer


@contextmanager
def open_reader(kinesis: Any) -> Iterator[KinesisStreamReader]:
    options = Options(("s",), "r", start="earliest", poll_ms=1, shard_bytes_per_s=0, reader="executors")
    reader = KinesisStreamReader(options, ServiceClient("kinesis", kinesis))
    try:
        yield reader
    finally:
        reader.stop()


def advanced(reader: KinesisStreamReader, start: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while (end := reader.latestOffset(start, LIMIT)) == start:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return end


class Clock:
    """Of the double, whose answers have no date: the reader goes by this machine's clock, before or after this one.

    Args:
        behind_s: how far it is behind the machine's.
    """

    def __init__(self, behind_s: float) -> None:
        self.now_s = time.time() - behind_s

    def __call__(self) -> float:
        return self.now_s


def test_a_backlog_is_read_in_spans_of_which_the_driver_fetches_a_record_each() -> None:
    clock = Clock(behind_s=86_400)
    kinesis = CountingKinesis(clock)
    kinesis.create_stream("s", 1)
    for number in range(6_000):
        kinesis.put_record("s", "k", str(number).encode())
        clock.now_s += 0.1
    with open_reader(kinesis) as reader:
        end = advanced(reader, advanced(reader, {}))
        found: list[int] = []
        start: dict[str, Any] = {"s": {PLACE[1]: {"after": EARLIEST, "closed": False}}}
        fetched = 0
        while True:
            before = kinesis.given
            parts = reader.partitions(start, end)
            assert all(isinstance(part, ShardRange) for part in parts)
            rows = [int(row["data"]) for part in parts for batch in reader.read(part) for row in batch.to_pylist()]
            fetched += kinesis.given - before
            found += rows
            assert end["s"][PLACE[1]]["records"] is None
            assert len(rows) <= 2 * 64 * 10  # 64 MiB at 1 MiB a second are 64 s of 10 records
            if len(found) == 6_000:
                break
            reader.commit(end)
            start, end = end, advanced(reader, end)
        assert found == list(range(6_000))
        assert kinesis.given - fetched < 0.2 * 6_000  # the last span is read by the driver: its end is not marked


def test_a_shard_that_is_written_to_is_marked_and_not_read() -> None:
    kinesis = CountingKinesis(clock := Clock(behind_s=0))
    kinesis.create_stream("s", 1)
    kinesis.put_record("s", "k", b"0")
    tips = TipReader(ServiceClient("kinesis", kinesis), PLACE, Position(EARLIEST), True, lambda: SPAN_MS)
    marks = [record.sequence_number for record in tips.read().records]
    written = 1
    for _ in range(20):
        for _ in range(1_000):
            written += 1
            last = kinesis.put_record("s", "k", b"x")["SequenceNumber"]
        clock.now_s += 0.2
        marks += [record.sequence_number for record in tips.read().records]
    assert kinesis.given < 0.1 * written
    while not tips.read().records or tips.position.after != last:
        clock.now_s += 0.2
    assert marks == sorted(set(marks), key=int)
    assert len(marks) >= 5


STEPS = st.lists(st.tuples(st.integers(0, 250), st.integers(0, 3_000), st.booleans()), min_size=1, max_size=25)
"""Records put, milliseconds that pass, and whether the shard is looked at."""


@given(STEPS, st.booleans(), st.integers(0, 8), st.sampled_from([-86_400, 0, 86_400]))
@settings(max_examples=60, deadline=None)
def test_marks_are_records_in_order_and_the_last_one_is_the_shards_last(
    steps: list[tuple[int, int, bool]], closes: bool, fault: int, behind_s: int
) -> None:
    kinesis = InMemoryKinesis(clock := Clock(behind_s))
    kinesis.create_stream("s", 1)
    tips = TipReader(ServiceClient("kinesis", kinesis), PLACE, Position(EARLIEST), True, lambda: SPAN_MS)
    held: list[str] = []
    marks: list[str] = []
    for number, (count, passed_ms, looks) in enumerate(steps):
        held += [kinesis.put_record("s", "k", b"x")["SequenceNumber"] for _ in range(count)]
        clock.now_s += passed_ms / 1000
        if number == fault:
            kinesis.faults.append("repeat")
        if looks:
            marks += [record.sequence_number for record in tips.read().records]
    if closes:
        kinesis.split_in_half("s", PLACE[1])
    ended = False
    for _ in range(60):
        clock.now_s += 0.2
        found = tips.read()
        marks += [record.sequence_number for record in found.records]
        ended |= found.ended
        if ended:
            break
    assert set(marks) <= set(held)
    assert marks == sorted(set(marks), key=int)
    assert tips.position.after == (held[-1] if held else EARLIEST)
    assert ended == closes


def test_what_is_available_now_is_read_to_its_last_record() -> None:
    kinesis = CountingKinesis()
    kinesis.create_stream("s", 2)
    for number in range(500):
        kinesis.put_record("s", str(number), str(number).encode())
    with open_reader(kinesis) as reader:
        reader.prepareForTriggerAvailableNow()
        start: dict[str, Any] = {}
        found: list[int] = []
        while (end := reader.latestOffset(start, LIMIT)) != start:
            for part in reader.partitions(start, end):
                found += [int(row["data"]) for batch in reader.read(part) for row in batch.to_pylist()]
            start = end
    assert sorted(found) == list(range(500))
