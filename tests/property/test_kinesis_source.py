"""The source against a simple model: whatever happens, every record comes once, and per-key order holds."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql.streaming.datasource import ReadMaxRows

from adapters.aws.errors import ServiceClient
from embedded.simulation.kinesis import InMemoryKinesis
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import KinesisStreamReader, ShardRange

OPTIONS = Options(("s",), "eu-central-1", start="earliest", poll_ms=1, shard_bytes_per_s=0, buffer_bytes=2_000)
SPLIT_LIMIT = 8

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 30)),
        st.tuples(st.just("split"), st.integers(0, 7)),
        st.tuples(st.just("merge"), st.integers(0, 7)),
        st.tuples(st.just("batch"), st.integers(1, 40)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("kill"), st.integers(1, 40)),
        st.tuples(st.just("fault"), st.sampled_from(["throttle", "expired_iterator", "repeat", "partial", "internal"])),
    ),
    min_size=3,
    max_size=20,
)


class Query:
    """What Spark does with a source: plan, log, read, commit; and start again from its logs."""

    def __init__(self, kinesis: InMemoryKinesis) -> None:
        self._kinesis = kinesis
        self.rows: list[dict[str, Any]] = []
        self._reader = KinesisStreamReader(OPTIONS, ServiceClient("kinesis", kinesis))
        self._committed: dict[str, Any] = self._reader.initialOffset()

    def batch(self, limit: int, kill: bool = False) -> bool:
        """Runs a batch; with `kill` it dies after planning and is repeated by a new process."""
        end = self._reader.latestOffset(self._committed, ReadMaxRows(limit))
        if end == self._committed:
            return False
        parts = self._reader.partitions(self._committed, end)
        rows = [row for part in parts for batch in self._reader.read(part) for row in batch.to_pylist()]
        if kill:
            self.restart()
            again = self._reader.partitions(self._committed, end)
            assert all(isinstance(part, ShardRange) for part in again)
            assert rows == [row for part in again for batch in self._reader.read(part) for row in batch.to_pylist()]
        assert len(rows) <= limit
        self.rows += rows
        self._reader.commit(end)
        self._committed = end
        return True

    def restart(self) -> None:
        self._reader.stop()
        self._reader = KinesisStreamReader(OPTIONS, ServiceClient("kinesis", self._kinesis))

    def drain(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.rows) < count and time.monotonic() < deadline:
            if not self.batch(1000):
                time.sleep(0.002)

    def stop(self) -> None:
        self._reader.stop()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTIONS)
def test_nothing_is_lost_or_duplicated_and_order_per_key_holds(actions: list[tuple[str, Any]]) -> None:
    _check(actions)


@pytest.mark.long
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTIONS)
def test_the_same_for_many_histories(actions: list[tuple[str, Any]]) -> None:
    _check(actions)


def _check(actions: list[tuple[str, Any]]) -> None:
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", 2)
    query = Query(kinesis)
    put: dict[str, list[str]] = defaultdict(list)
    try:
        for action, argument in actions:
            shards = kinesis.open_shards("s")
            if action == "put":
                for number in range(argument):
                    key = f"k{number % 5}"
                    put[key].append(f"{key}-{len(put[key])}")
                    kinesis.put_record("s", key, put[key][-1].encode())
            elif action == "split" and len(shards) < SPLIT_LIMIT:
                kinesis.split_in_half("s", shards[argument % len(shards)].id)
            elif action == "merge" and len(shards) > 1:
                at = argument % (len(shards) - 1)
                kinesis.merge_shards("s", shards[at].id, shards[at + 1].id)
            elif action in ("batch", "kill"):
                query.batch(argument, kill=action == "kill")
            elif action == "restart":
                query.restart()
            elif action == "fault":
                kinesis.faults.append(argument)
        query.drain(sum(map(len, put.values())))
    finally:
        query.stop()
    read: dict[str, list[str]] = defaultdict(list)
    for row in query.rows:
        read[row["partition_key"]].append(row["data"].decode())
    assert read == put
