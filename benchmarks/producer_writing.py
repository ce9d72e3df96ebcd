"""How near the producer comes to a bare loop of PutRecords with ready bytes, alternately in one run.

Both write to the local emulator, 500 records a call, each round to streams of its own. The producer generates, stamps
and encodes besides writing, and keeps the order of each card.

    python -m benchmarks.producer_writing --json producer_writing.json
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.aws.clients import aws_client
from adapters.aws.provision import provision
from adapters.aws.stream_writer import RECORDS_PER_CALL
from adapters.program.program import JsonOption, write_json
from embedded.emulator import start_emulator
from fraud.settings import Aws, Settings
from fraud.settings import Streams as StreamSettings
from producer.campaigns.plan import load_plan
from producer.config import Target, default_batch_size
from producer.data_generator import Generated, generate, in_batches
from producer.destinations import Streams, stream_records
from producer.economy import draw_economy

GOAL_RATIO = 0.7
FIRST_DAY = 20_450


def source(seed: int, rows: int) -> Iterator[Generated]:
    stream = generate(draw_economy(seed, 20_000, 2_000), load_plan("default"), FIRST_DAY)
    size = default_batch_size(Target.KINESIS)
    return islice(in_batches(stream, size), rows // size)


def bare_loop(client: Any, stream: str, calls: list[list[dict[str, Any]]]) -> float:
    started = time.perf_counter()
    for call in calls:
        answer = client.put_records(StreamName=stream, Records=call)
        assert answer["FailedRecordCount"] == 0
    return sum(map(len, calls)) / (time.perf_counter() - started)


def producer(settings: Settings, rows: int) -> float:
    destination = Streams(settings)
    parts = source(7, rows)
    started = time.perf_counter()
    for part in parts:
        destination.write(part)
    return destination.transactions.accepted / (time.perf_counter() - started)


def command(
    rows: Annotated[int, typer.Option(help="Transactions a round.")] = 35_000,
    rounds: Annotated[int, typer.Option(help="Rounds of both.")] = 3,
    json: JsonOption = None,
) -> None:
    ready = [
        {"PartitionKey": record.key, "Data": record.data}
        for part in source(7, rows)
        for record in stream_records(part.transactions)
    ]
    calls = [ready[start : start + RECORDS_PER_CALL] for start in range(0, len(ready), RECORDS_PER_CALL)]
    bare: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        child, url = start_emulator(Path(folder), None)
        try:
            for turn in range(rounds):
                for results in (bare, ours) if turn % 2 == 0 else (ours, bare):
                    names = StreamSettings(transactions=f"tx-{turn}-{len(bare)}-{len(ours)}", labels=f"labels-{turn}")
                    settings = Settings(aws=Aws(endpoint_url=url), streams=names)
                    provision(settings)
                    if results is bare:
                        bare.append(bare_loop(aws_client("kinesis", settings.aws), names.transactions, calls))
                    else:
                        ours.append(producer(settings, rows))
        finally:
            child.stop()
    figures = {
        "bare_per_s": [round(rate) for rate in bare],
        "producer_per_s": [round(rate) for rate in ours],
        "ratio": round(statistics.median(ours) / statistics.median(bare), 3),
        "goal_ratio": GOAL_RATIO,
    }
    for name, value in figures.items():
        print(f"{name:16} {value}")
    write_json(json, figures)


if __name__ == "__main__":
    typer.run(command)
