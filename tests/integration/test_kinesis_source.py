"""The source inside Spark: rows, progress, options, `availableNow`, and the driver killed at random points."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import SparkSession

from embedded.simulation.kinesis import InMemoryKinesis
from processor import kinesis_source
from tests.support.kinesis_server import serve

pytestmark = pytest.mark.spark


@pytest.fixture
def kinesis_spark(spark: SparkSession) -> SparkSession:
    """Spark that knows the source."""
    kinesis_source.register(spark)
    return spark


def test_bad_options_fail_at_load_with_name_and_allowed_values(kinesis_spark: SparkSession) -> None:
    source = kinesis_spark.readStream.format("kinesis").options(streamName="s", region="r", pollIntervalMs="50")
    with pytest.raises(PySparkException, match=r"pollIntervalMs: must be at least 200 .*got '50'"):
        source.load()


def test_available_now_reads_what_is_there_across_a_split_then_reports_health(
    kinesis_spark: SparkSession, tmp_path: Path
) -> None:
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", 1)
    for number in range(20):
        kinesis.put_record("s", f"k{number % 3}", str(number).encode())
    kinesis.split_in_half("s", "shardId-000000000000")
    for number in range(20, 40):
        kinesis.put_record("s", f"k{number % 3}", str(number).encode())
    with serve(kinesis) as url:
        options = {"streamName": "s", "region": "us-east-1", "endpointUrl": url, "startingPosition": "earliest"}
        rows = kinesis_spark.readStream.format("kinesis").options(**options, maxRecordsPerTrigger="15").load()
        writer = rows.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "checkpoint"))
        query = writer.trigger(availableNow=True).start(str(tmp_path / "out"))
        query.awaitTermination()
    found = stored(tmp_path / "out")
    assert sorted(int(row["data"]) for row in found) == list(range(40))
    reports = [json.loads(progress["sources"][0]["latestOffset"]) for progress in query.recentProgress]
    shard = next(report["s"]["shardId-000000000000"] for report in reports if report)
    assert {"lag_ms", "lag_records", "buffer_bytes", "fetch_ms", "throttles", "empty_reads"} <= shard.keys()


def test_the_watchdog_fails_the_query_with_the_shard_and_the_last_error(
    kinesis_spark: SparkSession, tmp_path: Path
) -> None:
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", 1)
    kinesis.put_record("s", "k", b"never read")
    kinesis.faults.extend(["throttle"] * 10_000)
    with serve(kinesis) as url:
        options = {"streamName": "s", "region": "us-east-1", "endpointUrl": url, "startingPosition": "earliest"}
        rows = kinesis_spark.readStream.format("kinesis").options(**options, stallTimeoutSeconds="2").load()
        query = rows.writeStream.format("noop").option("checkpointLocation", str(tmp_path)).start()
        with pytest.raises(StreamingQueryException) as failed:
            query.awaitTermination(240)
    said = str(failed.value)
    assert "s/shardId-000000000000 made no progress for" in said
    assert "ProvisionedThroughputExceededException" in said


@pytest.mark.timeout(1200)  # two starts of Spark, on a busy machine
def test_a_driver_killed_at_a_random_point_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_driver(tmp_path, kills=1, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_driver_killed_twenty_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_driver(tmp_path, kills=20, seed=2)


def kill_driver(folder: Path, kills: int, seed: int) -> None:
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", 2)
    done = threading.Event()
    count = 0

    def feed() -> None:
        nonlocal count
        while not done.wait(0.02):
            kinesis.put_record("s", f"k{count % 7}", str(count).encode())
            count += 1

    rng = random.Random(seed)
    feeder = threading.Thread(target=feed)
    with serve(kinesis) as url:
        feeder.start()
        try:
            for _ in range(kills):
                process = start(url, folder)
                try:
                    await_batches(folder, process, more=rng.randint(1, 4))
                    time.sleep(rng.uniform(0, 0.5))  # somewhere inside a batch
                finally:
                    kill(process)
            done.set()
            feeder.join()
            (folder / "stop").touch()
            process = start(url, folder)
            assert process.wait(300) == 0, (folder / "log").read_text()[-3000:]
        finally:
            done.set()
            feeder.join()
    numbers = [int(row["data"]) for row in stored(folder / "out")]
    assert sorted(numbers) == list(range(count))


def start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.kinesis_query", url, str(folder), "s"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def await_batches(folder: Path, process: subprocess.Popen[bytes], more: int) -> None:
    def committed() -> int:
        return max((int(file.name) for file in (folder / "checkpoint" / "commits").glob("[0-9]*")), default=-1)

    before, deadline = committed(), time.monotonic() + 240
    while committed() < before + more:
        assert process.poll() is None, (folder / "log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def stored(folder: Path) -> list[dict[str, Any]]:
    """The rows of the files that Spark's file sink committed."""
    files: set[str] = set()
    for log in (folder / "_spark_metadata").glob("[0-9]*"):
        files |= {json.loads(line)["path"] for line in log.read_text().splitlines()[1:]}
    return [row for file in files for row in pq.read_table(file.removeprefix("file://")).to_pylist()]
