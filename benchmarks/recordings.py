"""Recordings: rows a second of reading and converting, beside plain Polars, and memory while a large one is read.

The recording has the handbook's columns. Rows are read and converted to the columns of the wire format, on one core;
Polars reads the same file in the same run. Then a recording of ten times the rows is read, and sorted through temporary
files: the process may not grow with it.
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import typer

from adapters.program.program import JsonOption, run_program, write_json
from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import RecordingReader
from benchmarks.machine import describe_machine

_FIRST_MS = 1_514_764_800_000
_POLL_S = 0.02


def command(
    rows: Annotated[int, typer.Option(min=10_000, help="Rows of the recording.")] = 1_000_000,
    large: Annotated[int, typer.Option(min=1, help="How many times the rows the large one has.")] = 10,
    json: JsonOption = None,
) -> None:
    """Read a generated recording as CSV and as Parquet, and a larger one in bounded memory.

    Example: python -m benchmarks.recordings --rows 1000000
    """
    figures: dict[str, Any] = {"machine": describe_machine(), "rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("parquet", "csv"):
            file = _written(Path(folder) / f"recording.{suffix}", rows, parts=1)
            reader = RecordingReader(file, load_mapping("handbook"), "EUR")
            reader.check()  # what is imported and compiled once is not measured
            figures[f"{suffix}_rows_per_s"] = round(rows / _processor_s(reader.check))
            figures[f"{suffix}_polars_rows_per_s"] = round(rows / _processor_s(partial(_polars, file)))
            file.unlink()
        for times in (1, large):
            file = _written(Path(folder) / "large.parquet", rows * times, parts=times)
            figures[f"peak_mb_of_{times}"] = _peak_mb(file)
            file.unlink()
    write_json(json, figures)
    typer.echo(figures["machine"])
    for suffix, goal in (("parquet", 1_000_000), ("csv", 300_000)):
        ours, theirs = figures[f"{suffix}_rows_per_s"], figures[f"{suffix}_polars_rows_per_s"]
        typer.echo(f"{suffix}: {ours:,} rows a second of one core (goal {goal:,}); Polars only reads {theirs:,}")
    small, most = figures["peak_mb_of_1"], figures[f"peak_mb_of_{large}"]
    typer.echo(f"memory while reading: {small:,} MB with {rows:,} rows, {most:,} MB with {rows * large:,}")


def _written(file: Path, rows: int, parts: int) -> Path:
    """A recording whose rows are in no order of time."""
    rng = np.random.default_rng(7)
    writer = None
    for part in range(parts):
        count = rows // parts
        number = np.arange(part * count, (part + 1) * count)
        frame = pl.DataFrame(
            {
                "TRANSACTION_ID": number,
                "TX_DATETIME": pl.Series(rng.permutation(number) * 1000 + _FIRST_MS).cast(pl.Datetime("ms")),
                "CUSTOMER_ID": rng.integers(0, 5_000, count),
                "TERMINAL_ID": rng.integers(0, 10_000, count),
                "TX_AMOUNT": np.round(rng.gamma(2, 30, count), 2),
                "TX_FRAUD": (rng.random(count) < 0.01).astype(np.int64),
            }
        )
        if file.suffix == ".csv":
            frame.with_columns(pl.col("TX_DATETIME").dt.strftime("%Y-%m-%d %H:%M:%S")).write_csv(file)
            continue
        table = frame.to_arrow()
        writer = writer or pa.parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return file


def _polars(file: Path) -> int:
    return (pl.read_csv(file) if file.suffix == ".csv" else pl.read_parquet(file)).height


def _processor_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _peak_mb(file: Path) -> int:
    """Most memory that the process held while it took a recording in event order."""
    process, done = psutil.Process(), threading.Event()
    peak = 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(_POLL_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in RecordingReader(file, load_mapping("handbook"), "EUR").read():
            pass
    finally:
        done.set()
        watcher.join()
    return peak >> 20


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
