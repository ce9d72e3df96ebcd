"""What the source must do on every Kinesis server."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_kinesis_agg.aggregator import RecordAggregator
from botocore.config import Config
from pyspark.sql.streaming.datasource import ReadMaxRows

from adapters.aws.clients import aws_client
from adapters.aws.errors import ServiceClient
from embedded.simulation.kinesis import InMemoryKinesis
from fraud.settings import Aws
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import KinesisStreamReader
from tests.support.fan_out_double import FanOutKinesis, Terms
from tests.support.kinesis_server import serve, serve_credentials
from tests.support.kinesis_servers import REGION, kinesis_client, kinesis_local, ministack

AWS = Path(__file__).parents[2] / ".venv-emulator" / "bin" / "aws"


READERS: dict[str, str] = {}
"""How the source reads the streams of a server, by its address; `shared` where it is not named."""


@contextmanager
def scripted() -> Iterator[str]:
    with serve(InMemoryKinesis()) as url:
        yield url


@contextmanager
def pushing() -> Iterator[str]:
    with serve(FanOutKinesis(terms=Terms(again_s=0.0, records=7, idle_s=0.05))) as url:
        READERS[url] = "fan_out"
        yield url


@contextmanager
def scripted_read_by_executors() -> Iterator[str]:
    with scripted() as url:
        READERS[url] = "executors"
        yield url


@contextmanager
def kinesis_local_read_by_executors() -> Iterator[str]:
    with kinesis_local() as url:
        READERS[url] = "executors"
        yield url


SERVERS = [
    ministack,
    kinesis_local,
    scripted,
    pushing,
    scripted_read_by_executors,
    kinesis_local_read_by_executors,
]


Server = Callable[[], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[Server], str]]:
    """Each server runs from its first test on: in random order, one a test would be started for nearly each."""
    with ExitStack() as running:
        yield cache(lambda server: running.enter_context(server()))


@pytest.fixture(params=SERVERS, ids=lambda server: server.__name__)
def url(request: pytest.FixtureRequest, servers: Callable[[Server], str]) -> str:
    return servers(request.param)


def create(url: str, stream: str, shards: int) -> Any:
    client = kinesis_client(url)
    client.create_stream(StreamName=stream, ShardCount=shards)
    await_active(client, stream)
    return client


def await_active(client: Any, stream: str) -> None:
    until(lambda: _status(client, stream) == "ACTIVE")


def _status(client: Any, stream: str) -> str:
    return str(client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"])


def open_shards(client: Any, stream: str) -> list[dict[str, Any]]:
    shards = client.list_shards(StreamName=stream)["Shards"]
    alive = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    return sorted(alive, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def put(client: Any, stream: str, keys: list[str]) -> None:
    for number, key in enumerate(keys):
        client.put_record(StreamName=stream, PartitionKey=key, Data=f"{key}:{number}".encode())


def options(url: str, *streams: str) -> Options:
    reader = READERS.get(url, "shared")
    return Options(streams, REGION, url, start="earliest", poll_ms=20, shard_bytes_per_s=0, reader=reader)


def read(url: str, count: int, *streams: str, each: int = 7, start: str | int = "earliest") -> list[dict[str, Any]]:
    """Rows in batches; each batch is read a second time from the server, as after a restart, and must be the same."""
    reader, second = (KinesisStreamReader(replace(options(url, *streams), start=start)) for _ in range(2))
    end: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 180
    try:
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count}"
            following = reader.latestOffset(end, ReadMaxRows(each))
            if following == end:
                time.sleep(0.01)
                continue
            rows = _rows(reader, reader.partitions(end, following))
            assert rows == _rows(second, second.partitions(end, following))
            found += rows
            reader.commit(following)
            end = following
    finally:
        reader.stop()
    return found


def _rows(reader: KinesisStreamReader, parts: Any) -> list[dict[str, Any]]:
    return [row for part in parts for batch in reader.read(part) for row in batch.to_pylist()]


def _health(reader: KinesisStreamReader, stream: str) -> dict[str, Any]:
    return dict(next(iter((reader.reportLatestOffset() or {})[stream].values())))


def by_key(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        key, number = row["data"].decode().split(":")
        assert key == row["partition_key"]
        found[key].append(int(number))
    return found


def test_two_streams_are_read_once_in_order_and_alike_when_read_again(url: str) -> None:
    create(url, "plain-a", 2)
    client = create(url, "plain-b", 1)
    keys = [f"k{number % 6}" for number in range(30)]
    put(client, "plain-a", keys)
    put(client, "plain-b", keys)
    rows = read(url, 60, "plain-a", "plain-b")
    for stream in ("plain-a", "plain-b"):
        found = by_key([row for row in rows if row["stream"] == stream])
        assert found == {f"k{key}": list(range(key, 30, 6)) for key in range(6)}


def test_a_start_time_leaves_out_what_came_before(url: str) -> None:
    client = create(url, "from-a-time", 2)
    keys = [f"k{number}" for number in range(6)]
    put(client, "from-a-time", keys)
    before = read(url, 6, "from-a-time")
    after_ms = max(row["arrival_ms"] for row in before) + 1
    until(lambda: time.time() * 1000 > after_ms + 5)  # noqa: TID251 the server stamps arrivals
    client.put_record(StreamName="from-a-time", PartitionKey="k0", Data=b"k0:6")
    client.put_record(StreamName="from-a-time", PartitionKey="k5", Data=b"k5:7")
    assert by_key(read(url, 2, "from-a-time", start=after_ms)) == {"k0": [6], "k5": [7]}


def test_foreign_aggregates_are_unpacked(url: str) -> None:
    client = create(url, "aggregates", 1)
    aggregator = RecordAggregator()
    for number in range(5):
        aggregator.add_user_record(f"k{number % 2}", f"k{number % 2}:{number}".encode())
    key, _, data = aggregator.clear_and_get().get_contents()
    client.put_record(StreamName="aggregates", PartitionKey=key, Data=data)
    client.put_record(StreamName="aggregates", PartitionKey="k0", Data=b"k0:5")
    rows = read(url, 6, "aggregates", each=3)
    assert [row["sub_sequence"] for row in rows] == [0, 1, 2, 3, 4, 0]
    assert by_key(rows) == {"k0": [0, 2, 4, 5], "k1": [1, 3]}


def test_order_per_key_survives_a_split_and_a_merge(url: str, request: pytest.FixtureRequest) -> None:
    if "ministack" in request.node.name:
        pytest.skip("the emulator loses records when it reshards")
    client = create(url, "lineage", 2)
    keys = [f"k{number % 8}" for number in range(24)]
    put(client, "lineage", keys)
    first = open_shards(client, "lineage")[0]
    middle = (int(first["HashKeyRange"]["StartingHashKey"]) + int(first["HashKeyRange"]["EndingHashKey"])) // 2
    client.split_shard(StreamName="lineage", ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle))
    await_active(client, "lineage")
    put(client, "lineage", keys)
    left, right = open_shards(client, "lineage")[1:]
    client.merge_shards(StreamName="lineage", ShardToMerge=left["ShardId"], AdjacentShardToMerge=right["ShardId"])
    await_active(client, "lineage")
    put(client, "lineage", keys)
    assert by_key(read(url, 72, "lineage")) == {f"k{key}": list(range(key, 24, 8)) * 3 for key in range(8)}


def test_order_per_key_survives_a_change_of_the_shard_count(url: str, request: pytest.FixtureRequest) -> None:
    if "ministack" in request.node.name:
        pytest.skip("the emulator loses records when it reshards")
    client = create(url, "rescaled", 2)
    keys = [f"k{number % 8}" for number in range(24)]
    put(client, "rescaled", keys)
    for count in (4, 2):
        client.update_shard_count(StreamName="rescaled", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        await_active(client, "rescaled")
        assert len(open_shards(client, "rescaled")) == count
        put(client, "rescaled", keys)
    assert by_key(read(url, 72, "rescaled")) == {f"k{key}": list(range(key, 24, 8)) * 3 for key in range(8)}


def test_records_of_the_aws_command_are_read(url: str, request: pytest.FixtureRequest) -> None:
    if "scripted" in request.node.name or "pushing" in request.node.name:
        pytest.skip("one foreign server is enough for a foreign client")
    if not AWS.exists():
        pytest.skip("the aws command is not installed: make setup")
    create(url, "foreign", 1)
    command = [str(AWS), "--endpoint-url", url, "--region", REGION, "kinesis", "put-record", "--stream-name", "foreign"]
    command += ["--partition-key", "k", "--data", "k:0"]
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | credentials, timeout=300)
    assert by_key(read(url, 1, "foreign")) == {"k": [0]}


def test_every_kind_of_misbehaviour_loses_and_doubles_nothing() -> None:
    kinesis = InMemoryKinesis()
    faults = ["throttle", "drop", "truncate", "internal", "expired_iterator", "expired_token", "clock_skew"]
    with serve(kinesis) as url:
        client = create(url, "faulty", 1)
        put(client, "faulty", ["k"] * 30)
        kinesis.faults.extend(faults + ["partial", "repeat", "partial", "repeat"] * 3)
        assert by_key(read(url, 30, "faulty")) == {"k": list(range(30))}
    assert not kinesis.faults


def test_credentials_that_expire_and_are_renewed_cost_only_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with EKS Pod Identity: botocore asks an address on the machine for keys that live for a while."""
    kinesis = InMemoryKinesis()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with serve(kinesis) as url, serve_credentials("first") as keys:
        create(url, "renewed", 1)
        put(kinesis_client(url), "renewed", ["k"] * 10)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", keys.url)
        client = boto3.Session(region_name=REGION).client(
            "kinesis", endpoint_url=url, config=Config(retries={"total_max_attempts": 1})
        )
        reader = KinesisStreamReader(options(url, "renewed"), ServiceClient("kinesis", client))
        try:
            pinned = reader.latestOffset({}, ReadMaxRows(100))
            until(lambda: _health(reader, "renewed")["lag_records"] == 10)
            kinesis.valid_key = "second"  # expired at the service before the machine knows
            until(lambda: _health(reader, "renewed")["failures"] > 1)
            keys.key = "second"
            put_in(kinesis, "renewed", "k", 10, 20)
            until(lambda: _health(reader, "renewed")["lag_records"] == 20)
            rows = _rows(reader, reader.partitions(pinned, reader.latestOffset(pinned, ReadMaxRows(100))))
        finally:
            reader.stop()
    assert by_key(rows) == {"k": list(range(20))}


def put_in(kinesis: InMemoryKinesis, stream: str, key: str, first: int, end: int) -> None:
    for number in range(first, end):
        kinesis.put_record(stream, key, f"{key}:{number}".encode())


def test_a_server_that_hangs_is_given_up_and_asked_again() -> None:
    kinesis = InMemoryKinesis()
    with serve(kinesis) as url:
        client = create(url, "hung", 1)
        put(client, "hung", ["k"] * 10)
        kinesis.faults.append("hang")
        impatient = aws_client("kinesis", Aws(endpoint_url=url, region=REGION), max_attempts=1, read_timeout=0.5)
        reader = KinesisStreamReader(options(url, "hung"), impatient)
        try:
            pinned = reader.latestOffset({}, ReadMaxRows(100))
            until(lambda: _health(reader, "hung")["lag_records"] == 10)
            rows = _rows(reader, reader.partitions(pinned, reader.latestOffset(pinned, ReadMaxRows(100))))
            failures = _health(reader, "hung")["failures"]
        finally:
            reader.stop()
    assert by_key(rows) == {"k": list(range(10))}
    assert (failures, len(kinesis.faults)) == (1, 0)
