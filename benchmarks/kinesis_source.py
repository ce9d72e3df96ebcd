"""The Kinesis source alone: its processor time; through Spark throughput, latency it adds, fixed cost of a batch.

Throughput is compared with a bare GetRecords loop of boto3 over the same server, the fixed cost with Spark's rate
source, in the same run.

    python -m benchmarks.kinesis_source --json kinesis_source.json
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from adapters.aws.clients import aws_client
from adapters.program.program import JsonOption, run_program, write_json
from embedded.simulation.kinesis import InMemoryKinesis
from fraud.settings import Aws, Settings
from processor import kinesis_source
from processor.kinesis_source.options import parse_options
from processor.kinesis_source.reader import KinesisStreamReader
from processor.session import open_session
from tests.support.kinesis_server import serve

SHARDS = 4
REGION = "us-east-1"
TRIGGER_MS = 200
GOALS = {"source_records_per_s": 20_000, "or_ratio": 0.9, "added_latency_p50_ms": 250, "fixed_cost_ms": 60}
"""At least, at least, less than, less than; of the first two one suffices."""


@contextmanager
def fast_server(records: int) -> Iterator[str]:
    """The fast loopback server in a process of its own."""
    command = [sys.executable, "-m", "tests.support.kinesis_server_fast", "--shards", str(SHARDS)]
    with subprocess.Popen([*command, "--records", str(records)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def bare_loop(url: str, records: int) -> float:
    """Records a second of GetRecords alone, one thread a shard."""
    client = aws_client("kinesis", Aws(endpoint_url=url, region=REGION))

    def drain(shard: int) -> int:
        place = {"StreamName": "s", "ShardId": f"shardId-{shard:012d}", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = client.get_shard_iterator(**place)["ShardIterator"]
        count = 0
        while count < records:
            answer = client.get_records(ShardIterator=iterator)
            iterator = answer["NextShardIterator"]
            count += len(answer["Records"])
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(SHARDS) as pool:
        count = sum(pool.map(drain, range(SHARDS)))
    return count / (time.perf_counter() - began)


def read_stream(spark: Any, url: str, **options: str) -> Any:
    """The source's rows."""
    fixed = {"streamName": "s", "region": REGION, "endpointUrl": url, "shardBytesPerSecond": "0"}
    return spark.readStream.format("kinesis").options(**fixed, **options).load()


def run(rows: Any, is_done: Callable[[list[Any]], bool]) -> list[Any]:
    """Runs a query to a no-op sink until its progress is enough."""
    with tempfile.TemporaryDirectory() as checkpoint:
        writer = rows.writeStream.format("noop").option("checkpointLocation", checkpoint)
        query = writer.trigger(processingTime=f"{TRIGGER_MS} milliseconds").start()
        try:
            while not is_done(query.recentProgress) and query.isActive:
                time.sleep(0.05)
            return list(query.recentProgress)
        finally:
            query.stop()


def throughput(spark: Any, records: int) -> dict[str, float]:
    """Records a second behind the first batch with records, to the last, and of the bare loop."""
    with fast_server(records) as url:
        bare = bare_loop(url, records)
        rows = read_stream(spark, url, startingPosition="earliest", pollIntervalMs="200")
        marks: list[tuple[float, int]] = []

        def drained(progress: list[Any]) -> bool:
            count = sum(p.numInputRows for p in progress)
            if count and (not marks or marks[-1][1] != count):
                marks.append((time.perf_counter(), count))
            return bool(count >= records * SHARDS)

        run(rows, drained)
    (first_at, first), (last_at, last) = marks[0], marks[-1]
    rate = (last - first) / (last_at - first_at)
    return {"source_records_per_s": round(rate), "bare_loop_records_per_s": round(bare), "ratio": round(rate / bare, 3)}


def processor_time(records: int) -> dict[str, float]:
    """Processor time that the driver's Python process takes for a record of 600 bytes: to fetch it, to hand it over.

    Without Spark: the reader alone, which Spark asks for the end of a batch, then for its parts. Threads of one process
    share one interpreter, so the inverse of both together is what a driver cannot exceed.
    """
    with fast_server(records) as url:
        options = {"streamName": "s", "region": REGION, "endpointUrl": url, "startingPosition": "earliest"}
        reader = KinesisStreamReader(parse_options(options | {"shardBytesPerSecond": "0"}))
        start = reader.latestOffset(reader.initialOffset(), reader.getDefaultReadLimit())  # imports and connects
        count, handing_s, began_s = 0, 0.0, time.process_time()
        while count < records * SHARDS:
            end = reader.latestOffset(start, reader.getDefaultReadLimit())
            asked_s = time.thread_time()
            reader.partitions(start, end)
            handing_s += time.thread_time() - asked_s
            reader.commit(end)
            start, count = end, sum(shard["records"] for shard in end["s"].values())
        spent_s = time.process_time() - began_s
        reader.stop()
    return {
        "fetch_us_a_record": round((spent_s - handing_s) / count * 1e6, 1),
        "hand_over_us_a_record": round(handing_s / count * 1e6, 1),
        "most_records_per_s": round(count / spent_s),
    }


def _serve_written(connection: Any, per_s: int) -> None:
    """A Kinesis in a process of its own, each of whose shards is written to at a rate; sends its address."""
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", SHARDS)
    with serve(kinesis) as url:
        connection.send(url)
        began, number = time.perf_counter(), 0
        while not connection.poll(0.01):
            while number < (time.perf_counter() - began) * per_s * SHARDS:
                kinesis.put_record("s", str(number), b"x" * 600)
                number += 1
        connection.send(number)


def looking(seconds: int, per_s: int = 500) -> dict[str, float]:
    """What shards cost the driver that executors read: processor time of a look, and its records of those written."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve_written, args=(theirs, per_s), daemon=True)
    server.start()
    options = {"streamName": "s", "region": REGION, "endpointUrl": ours.recv(), "startingPosition": "latest"}
    reader = KinesisStreamReader(parse_options(options | {"reader": "executors"}))
    start = reader.latestOffset(reader.initialOffset(), reader.getDefaultReadLimit())
    began_s, until_s = time.process_time(), time.monotonic() + seconds
    marks = 0
    while time.monotonic() < until_s:
        end = reader.latestOffset(start, reader.getDefaultReadLimit())
        marks += sum(end["s"][shard]["after"] != position["after"] for shard, position in start["s"].items())
        reader.commit(end)
        start = end
        time.sleep(0.2)
    spent_s = time.process_time() - began_s
    looks = sum(shard["reads"] for shard in (reader.reportLatestOffset() or {})["s"].values())
    reader.stop()
    ours.send("end")
    written = ours.recv()
    server.join()
    return {"look_ms": round(spent_s / looks * 1000, 2), "marks": marks, "records_beside_them": written}


def latency_and_fixed_cost(spark: Any, batches: int) -> dict[str, float]:
    """Latency from put to the batch that holds the record and to its row in the sink; trigger time by the rate source.

    What the source adds is the time to the batch less the mean wait for a trigger. The batch's own time is Spark's and
    the sink's; what the source adds to it is the fixed cost.
    """
    kinesis = InMemoryKinesis()
    kinesis.create_stream("s", SHARDS)
    done = threading.Event()

    def feed() -> None:
        number = 0
        began = time.perf_counter()
        while not done.wait(0.01):
            while number < (time.perf_counter() - began) * 1000:
                kinesis.put_record("s", str(number), b"x" * 600)
                number += 1

    to_batch: list[float] = []
    to_sink: list[float] = []

    def collect(batch: Any, _: int) -> None:
        begun_ms = time.time() * 1000
        rows = batch.select("arrival_ms").collect()
        stored_ms = time.time() * 1000
        to_batch.extend(begun_ms - row.arrival_ms for row in rows)
        to_sink.extend(stored_ms - row.arrival_ms for row in rows)

    def enough(progress: list[Any]) -> bool:
        return sum(bool(p.numInputRows) for p in progress) >= batches

    feeder = threading.Thread(target=feed)
    with serve(kinesis) as url:
        feeder.start()
        try:
            ours = run(read_stream(spark, url), enough)
            query = read_stream(spark, url).writeStream.foreachBatch(collect)
            with tempfile.TemporaryDirectory() as checkpoint:
                query = query.option("checkpointLocation", checkpoint)
                running = query.trigger(processingTime=f"{TRIGGER_MS} milliseconds").start()
                while len(to_sink) < batches * 200 and running.isActive:
                    time.sleep(0.05)
                running.stop()
        finally:
            done.set()
            feeder.join()
    rate = run(spark.readStream.format("rate").option("rowsPerSecond", "1000").load(), enough)
    ours_ms, rate_ms = (_typical_trigger_ms(progress) for progress in (ours, rate))
    warm = len(to_sink) // 3
    put_to_batch_ms = round(statistics.median(to_batch[warm:]))
    return {
        "put_to_sink_p50_ms": round(statistics.median(to_sink[warm:])),
        "put_to_batch_p50_ms": put_to_batch_ms,
        "added_latency_p50_ms": put_to_batch_ms - TRIGGER_MS / 2,
        "batch_p50_ms": ours_ms,
        "rate_source_batch_p50_ms": rate_ms,
        "fixed_cost_ms": ours_ms - rate_ms,
    }


def _typical_trigger_ms(progress: list[Any]) -> float:
    times = [p.durationMs["triggerExecution"] for p in progress if p.numInputRows]
    return float(statistics.median(times[len(times) // 3 :]))


def command(
    records: Annotated[int, typer.Option(help="Records of 600 B in each of the 4 shards.")] = 100_000,
    batches: Annotated[int, typer.Option(help="Batches of the latency and fixed-cost runs.")] = 30,
    json_file: JsonOption = None,
) -> None:
    """Measure the Kinesis source: throughput, added latency, fixed cost of a batch.

    Example: python -m benchmarks.kinesis_source --json figures.json
    """
    figures: dict[str, Any] = processor_time(records) | looking(seconds=20)
    spark = open_session(Settings())
    kinesis_source.register(spark)
    figures |= throughput(spark, records) | latency_and_fixed_cost(spark, batches) | {"goals": GOALS}
    spark.stop()
    typer.echo(json.dumps(figures, indent=2))
    write_json(json_file, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
