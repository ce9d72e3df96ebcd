"""Transactions generated for each second of one core, without and with encoding, and the memory of a long run.

python -m benchmarks.generator --json generator.json
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when polars is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Iterator
from typing import Annotated

import psutil
import pyarrow as pa
import typer

from adapters.program.program import JsonOption, write_json
from fraud.records.encode import encode
from producer.campaigns.plan import load_plan
from producer.data_generator import Generated, generate
from producer.economy import draw_economy

GOAL_PER_S = 200_000
FIRST_DAY = 20_450
_MIB = 1 << 20


def measure(stream: Iterator[Generated], seconds: float, encoded: bool) -> float:
    """Transactions for each second of processor time, which a machine shared with others does not falsify."""
    rows, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        part = next(stream)
        if encoded:
            encode(part.transactions)
        rows += part.transactions.num_rows
    return rows / (time.process_time() - started)


def command(
    cards: Annotated[int, typer.Option(help="Cards of the population.")] = 50_000,
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 5.0,
    json: JsonOption = None,
) -> None:
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        process.cpu_affinity(process.cpu_affinity()[:1])
    pa.set_cpu_count(1)
    stream = generate(draw_economy(7, cards, 5_000), load_plan("default"), FIRST_DAY)
    for _ in range(20):
        next(stream)
    before = process.memory_info().rss
    generated = measure(stream, seconds, encoded=False)
    after = process.memory_info().rss
    with_json = measure(stream, seconds, encoded=True)
    figures = {
        "generated_per_s": round(generated),
        "generated_and_encoded_per_s": round(with_json),
        "goal_per_s": GOAL_PER_S,
        "reached": generated >= GOAL_PER_S,
        "memory_mib": round(after / _MIB),
        "memory_growth_mib": round((after - before) / _MIB, 1),
    }
    for name, value in figures.items():
        print(f"{name:28} {value}")
    write_json(json, figures)


if __name__ == "__main__":
    typer.run(command)
