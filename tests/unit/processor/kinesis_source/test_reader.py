"""The reader without Spark: limits, fairness, memory, watchdog, health, `latest`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from botocore.exceptions import NoCredentialsError
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxBytes, ReadMaxRows

from adapters.aws.errors import ServiceClient
from embedded.simulation.kinesis import InMemoryKinesis, kinesis_error
from fraud.errors import FatalError, MisconfiguredError
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import KinesisStreamReader

OPTIONS = Options(("s",), "eu-central-1", start="earliest", poll_ms=1, shard_bytes_per_s=0)


@contextmanager
def open_reader(kinesis: Any, options: Options = OPTIONS) -> Iterator[KinesisStreamReader]:
    reader = KinesisStreamReader(options, ServiceClient("kinesis", kinesis))
    try:
        yield reader
    finally:
        reader.stop()


def stream(shards: int = 1) -> InMemoryKinesis:
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", shards)
    return kinesis


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def health(reader: KinesisStreamReader) -> dict[str, Any]:
    return dict((reader.reportLatestOffset() or {}).get("s", {}))


def rows(reader: KinesisStreamReader, start: dict[str, Any], end: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for part in reader.partitions(start, end) for batch in reader.read(part) for row in batch.to_pylist()]


def test_a_small_shard_gets_its_records_beside_a_huge_one() -> None:
    kinesis = stream(shards=2)
    shards = {kinesis.put_record("s", str(n), b"x")["ShardId"]: str(n) for n in range(20)}
    keys = list(shards.values())
    for _ in range(500):
        kinesis.put_record("s", keys[0], b"huge")
    kinesis.put_record("s", keys[1], b"small")
    with open_reader(kinesis) as reader:
        pinned = reader.latestOffset({}, ReadMaxRows(100))
        until(lambda: sum(shard["lag_records"] for shard in health(reader).values()) == 521)
        batch = rows(reader, pinned, reader.latestOffset(pinned, ReadMaxRows(100)))
    assert len(batch) == 100
    assert b"small" in {row["data"] for row in batch}


def test_a_shard_that_cannot_be_read_does_not_hold_up_the_others() -> None:
    class Poisoned(InMemoryKinesis):
        def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:  # noqa: N803
            if "shardId-000000000000" in ShardIterator:
                raise kinesis_error("InternalFailure", "GetRecords")
            return super().get_records(ShardIterator, Limit)

    kinesis = Poisoned()
    kinesis.create_stream("s", 2)
    readable = [n for n in range(200) if kinesis.put_record("s", f"k{n}", f"{n}".encode())["ShardId"][-1] == "1"]
    read: list[int] = []
    with open_reader(kinesis) as reader:
        end = reader.latestOffset({}, ReadMaxRows(10))

        def all_read() -> bool:
            nonlocal end
            following = reader.latestOffset(end, ReadMaxRows(10))
            read.extend(int(row["data"]) for row in rows(reader, end, following))
            reader.commit(following)
            end = following
            return len(read) == len(readable)

        until(all_read)
        assert health(reader)["shardId-000000000000"]["failures"] > 0
    assert read == readable


def test_bytes_bound_a_batch_which_has_at_least_one_record() -> None:
    kinesis = stream()
    for _ in range(10):
        kinesis.put_record("s", "k", b"x" * 100)
    with open_reader(kinesis) as reader:
        pinned = reader.latestOffset({}, ReadAllAvailable())
        until(lambda: sum(shard["lag_records"] for shard in health(reader).values()) == 10)
        for limit, count in ((250, 2), (1, 1), (10_000, 10)):
            assert len(rows(reader, pinned, reader.latestOffset(pinned, ReadMaxBytes(limit)))) == count


def test_no_batch_begins_while_the_pause_file_is_there(tmp_path: Path) -> None:
    kinesis = stream()
    kinesis.put_record("s", "k", b"x")
    pause = tmp_path / "pause"
    with open_reader(kinesis, replace(OPTIONS, pause_file=str(pause))) as reader:
        pinned = reader.latestOffset({}, ReadAllAvailable())
        until(lambda: sum(shard["lag_records"] for shard in health(reader).values()) == 1)
        pause.touch()
        assert reader.latestOffset(pinned, ReadAllAvailable()) == pinned
        pause.unlink()
        assert len(rows(reader, pinned, reader.latestOffset(pinned, ReadAllAvailable()))) == 1


def test_a_full_buffer_stops_fetching_but_is_no_stall() -> None:
    kinesis = stream()
    for _ in range(3000):
        kinesis.put_record("s", "k", b"x" * 100)
    with open_reader(kinesis, replace(OPTIONS, buffer_bytes=20_000, stall_s=1)) as reader:
        pinned = reader.latestOffset({}, ReadMaxRows(10))
        until(lambda: sum(shard["buffer_bytes"] for shard in health(reader).values()) >= 20_000)
        reads = len(kinesis.reads)
        time.sleep(1.5)  # longer than the watchdog waits
        reader.latestOffset(pinned, ReadMaxRows(10))
        assert len(kinesis.reads) == reads
        assert sum(shard["buffer_bytes"] for shard in health(reader).values()) < 60_000


def test_the_watchdog_names_the_shard_and_the_last_error() -> None:
    kinesis = stream()
    kinesis.put_record("s", "k", b"x")
    kinesis.faults.extend(["throttle"] * 1000)
    with open_reader(kinesis, replace(OPTIONS, stall_s=1)) as reader:
        pinned = reader.latestOffset({}, ReadAllAvailable())

        with pytest.raises(FatalError) as caught:
            until(lambda: reader.latestOffset(pinned, ReadAllAvailable()) != pinned)
    assert "s/shardId-000000000000 made no progress" in str(caught.value)
    assert "ProvisionedThroughputExceededException" in str(caught.value)


class AlwaysBehind(InMemoryKinesis):
    """Says of every shard that it is half a second behind, whatever it has given."""

    def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:  # noqa: N803
        return super().get_records(ShardIterator, Limit) | {"MillisBehindLatest": 500}


def test_an_idle_shard_that_says_it_is_behind_ends_nothing_and_is_read_on() -> None:
    kinesis = AlwaysBehind()
    kinesis.create_stream("s", 1)
    kinesis.put_record("s", "k", b"first")
    with open_reader(kinesis, replace(OPTIONS, stall_s=1)) as reader, structlog.testing.capture_logs() as logs:
        end = reader.latestOffset({}, ReadAllAvailable())
        until(lambda: reader.latestOffset(end, ReadAllAvailable()) != end)
        end = reader.latestOffset(end, ReadAllAvailable())
        silent_until = time.monotonic() + 2.5  # more than twice the watchdog's patience
        until(lambda: reader.latestOffset(end, ReadAllAvailable()) == end and time.monotonic() > silent_until)
        kinesis.put_record("s", "k", b"second")
        until(lambda: reader.latestOffset(end, ReadAllAvailable()) != end)
        assert [row["data"] for row in rows(reader, end, reader.latestOffset(end, ReadAllAvailable()))] == [b"second"]
    of_stream = [entry for entry in logs if entry.get("stream") == "s"]  # other tests' threads may log meanwhile
    assert [(entry["event"], entry["lag_ms"]) for entry in of_stream] == [("shard_gives_nothing", 500)]


def test_available_now_ends_although_an_idle_shard_says_that_it_is_behind() -> None:
    kinesis = AlwaysBehind()
    kinesis.create_stream("s", 1)
    kinesis.put_record("s", "k", b"first")
    with open_reader(kinesis) as reader:
        reader.prepareForTriggerAvailableNow()
        end: dict[str, Any] = {}
        read = []
        while (following := reader.latestOffset(end, ReadMaxRows(2))) != end:
            read += rows(reader, end, following)
            end = following
    assert [row["data"] for row in read] == [b"first"]


def test_health_counts_throttles_and_empty_reads() -> None:
    kinesis = stream()
    kinesis.faults.extend(["throttle", "internal"])
    with open_reader(kinesis) as reader:
        reader.latestOffset({}, ReadAllAvailable())
        until(lambda: next(iter(health(reader).values()))["empty_reads"] > 2)
        shard = next(iter(health(reader).values()))
    assert (shard["throttles"], shard["failures"], shard["lag_ms"]) == (1, 1, 0)


def test_latest_is_pinned_by_an_empty_batch_and_survives_its_repetition() -> None:
    kinesis = stream()
    kinesis.put_record("s", "k", b"before")
    time.sleep(0.005)  # the clock of arrivals counts milliseconds
    latest = replace(OPTIONS, start="latest")
    with open_reader(kinesis, latest) as reader:
        pinned = reader.latestOffset(reader.initialOffset(), ReadAllAvailable())
        assert reader.partitions({}, pinned) == []
    kinesis.put_record("s", "k", b"after")
    with open_reader(kinesis, latest) as reader:
        assert reader.partitions(reader.initialOffset(), pinned) == []
        until(lambda: reader.latestOffset(pinned, ReadAllAvailable()) != pinned)
        batch = rows(reader, pinned, reader.latestOffset(pinned, ReadAllAvailable()))
    assert [row["data"] for row in batch] == [b"after"]


def test_a_stream_of_the_checkpoint_may_not_be_left_out() -> None:
    kinesis = stream()
    with open_reader(kinesis) as reader:
        pinned = reader.latestOffset({}, ReadAllAvailable())
    with (
        open_reader(kinesis, replace(OPTIONS, streams=("other",))) as reader,
        pytest.raises(MisconfiguredError, match="streamName: lacks s"),
    ):
        reader.latestOffset(pinned, ReadAllAvailable())


def test_a_missing_stream_is_said_at_once() -> None:
    with open_reader(InMemoryKinesis()) as reader, pytest.raises(FatalError, match="ResourceNotFoundException"):
        reader.latestOffset({}, ReadAllAvailable())


def test_missing_credentials_are_said_at_once() -> None:
    class Nobody(InMemoryKinesis):
        def list_shards(self, StreamName: str) -> dict[str, Any]:  # noqa: N803
            raise NoCredentialsError

    with open_reader(Nobody()) as reader, pytest.raises(FatalError, match="no AWS credentials found"):
        reader.latestOffset({}, ReadAllAvailable())


def test_a_failed_listing_is_repeated() -> None:
    class Flaky(InMemoryKinesis):
        refusals = 2

        def list_shards(self, StreamName: str) -> dict[str, Any]:  # noqa: N803
            if self.refusals:
                self.refusals -= 1
                raise kinesis_error("LimitExceededException", "ListShards")
            return super().list_shards(StreamName)

    kinesis = Flaky()
    kinesis.create_stream("s", 1)
    with open_reader(kinesis) as reader:
        assert reader.latestOffset({}, ReadAllAvailable()) == {}
        until(lambda: reader.latestOffset({}, ReadAllAvailable()) != {})


def vanish_while_away(kinesis: InMemoryKinesis) -> dict[str, Any]:
    """Reads one of two records, then the shard ends with the other unread, and expires; returns the offset."""
    kinesis.put_record("s", "k", b"read")
    kinesis.put_record("s", "k", b"lost")
    with open_reader(kinesis) as reader:
        pinned = reader.latestOffset({}, ReadMaxRows(1))
        until(lambda: reader.latestOffset(pinned, ReadMaxRows(1)) != pinned)
        end = reader.latestOffset(pinned, ReadMaxRows(1))
    kinesis.split_in_half("s", "shardId-000000000000")
    kinesis.expire("s", "shardId-000000000000")
    kinesis.put_record("s", "k", b"child")
    return end


def test_a_shard_that_vanished_unread_stops_the_query_with_its_name() -> None:
    kinesis = stream()
    end = vanish_while_away(kinesis)
    with open_reader(kinesis) as reader, pytest.raises(FatalError, match=r"s/shardId-0+: records from .* are lost"):
        until(lambda: reader.latestOffset(end, ReadMaxRows(10)) is None)


def test_a_vanished_shard_is_left_behind_for_its_children_where_that_is_configured() -> None:
    kinesis = stream()
    end = vanish_while_away(kinesis)
    read: list[bytes] = []
    with open_reader(kinesis, replace(OPTIONS, fail_on_data_loss=False)) as reader:

        def advanced() -> bool:
            nonlocal end
            following = reader.latestOffset(end, ReadMaxRows(10))
            read.extend(row["data"] for row in rows(reader, end, following))
            reader.commit(following)
            end = following
            return bool(read)

        until(advanced)
    assert read == [b"child"]


def test_a_checkpoint_of_the_first_release_is_read_on() -> None:
    kinesis = stream()
    numbers = [kinesis.put_record("s", "k", str(n).encode())["SequenceNumber"] for n in range(3)]
    stored = {"s": {"shardId-000000000000": {"after": numbers[0], "closed": False}}}
    with open_reader(kinesis) as reader:
        until(lambda: reader.latestOffset(stored, ReadMaxRows(10)) != stored)
        until(lambda: health(reader)["shardId-000000000000"]["lag_ms"] == 0)
        batch = rows(reader, stored, reader.latestOffset(stored, ReadMaxRows(10)))
    assert [row["data"] for row in batch] == [b"1", b"2"]


def test_small_shards_share_a_part_and_a_large_one_has_its_own() -> None:
    kinesis = stream(shards=3)
    large = kinesis.put_record("s", "k0", b"x" * (3 << 20))["ShardId"]
    small = {kinesis.put_record("s", f"k{n}", b"x")["ShardId"] for n in range(1, 40)}
    with open_reader(kinesis) as reader:
        pinned = reader.latestOffset({}, ReadAllAvailable())
        until(lambda: sum(shard["lag_records"] for shard in health(reader).values()) == 40)
        parts = reader.partitions(pinned, reader.latestOffset(pinned, ReadAllAvailable()))
        shards = [{row["shard"] for batch in reader.read(part) for row in batch.to_pylist()} for part in parts]
    assert len(small) == 3
    assert [found for found in shards if large in found] == [{large}]
    assert sorted(shard for found in shards for shard in found) == sorted(small)


def test_available_now_ends_at_the_time_it_began() -> None:
    kinesis = stream()
    for _ in range(5):
        kinesis.put_record("s", "k", b"before")
    with open_reader(kinesis) as reader:
        reader.prepareForTriggerAvailableNow()
        end: dict[str, Any] = {}
        read = []
        while (following := reader.latestOffset(end, ReadMaxRows(2))) != end:
            read += rows(reader, end, following)
            end = following
            time.sleep(0.3)
            kinesis.put_record("s", "k", b"during")
    assert read[:5] == [row for row in read if row["data"] == b"before"]
    assert len(read) < 5 + len(kinesis.open_shards("s")[0].records) - 5
