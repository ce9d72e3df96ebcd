"""Exact windows of each card (1 h, 24 h, 7 d, 30 d; count and sum): our stateful stage against Flink SQL, same rows.

Whole processes are timed, from start to end, each with two cores. Flink reads and writes CSV (its package has no
Parquet) and takes no checkpoints; ours reads and writes Parquet and commits every batch to its checkpoint. A sample of
rows must be equal. Flink needs an environment of its own, made once:

    python3.11 -m venv .venv-flink
    .venv-flink/bin/python -m pip install --no-deps --require-hashes -r benchmarks/flink/requirements.txt

Run: python -m benchmarks.windows --json windows.json
"""

from __future__ import annotations

import contextlib
import json as jsons
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import psutil
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from fraud.errors import FatalError, MisconfiguredError

ROOT = Path(__file__).parents[1]
FLINK = ROOT / ".venv-flink" / "bin" / "python"
_FOLDER = Path(".local/windows")
_DAYS = 40
_BATCHES = 5
_CORES = 2
_SAMPLE = 50_000
_LOOK_S = 0.2
_REACH = {"hashmap": 4.0, "rocksdb": 15.0}


def write_transactions(folder: Path, count: int, cards: int) -> None:
    """The same rows, by time: as Parquet, a file a core for each batch, and as CSV, a file a core with rows in turn."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "id": np.arange(count),
            "card_token": np.char.add("card-", rng.integers(0, cards, count).astype(str)),
            "amount": np.rint(100 * rng.gamma(2, 30, count)).astype(np.int64),
            "at_ms": 1_700_000_000_000 + np.arange(count) * _DAYS * 86_400_000 // count,
        }
    )
    for name in ("parquet", "csv"):
        (folder / name).mkdir(parents=True)
    files = _BATCHES * _CORES
    rows = -(-count // files)
    for number in range(files):
        frame.slice(number * rows, rows).write_parquet(folder / "parquet" / f"{number:04d}.parquet")
    for core in range(_CORES):
        frame.gather_every(_CORES, core).write_csv(folder / "csv" / f"{core}.csv", include_header=False)


def timed(command: list[str], folder: Path) -> dict[str, Any]:
    """Runs a process to its end; its seconds, those of the processor, and the figures of its last line."""
    environment = os.environ | {"FLINK_ENV_JAVA_OPTS": "-Xmx6g", "PYTHONPATH": str(ROOT)}
    with (folder / "errors.log").open("ab") as errors:
        started = time.perf_counter()
        done = psutil.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors)
        cpu_s = processor_time(done)
        whole_s = time.perf_counter() - started
    output = done.stdout.read()
    if done.returncode != 0:
        raise FatalError(f"{command[1]} ended with exit code {done.returncode}: see {folder}/errors.log")
    return {"whole_s": whole_s, "cpu_s": cpu_s, **jsons.loads(output.splitlines()[-1])}


def processor_time(process: psutil.Popen) -> float:
    """Seconds of processor that a process and all its descendants used until it ended, as last seen of each."""
    used: dict[int, float] = {}
    while process.poll() is None:
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                used[one.pid] = times.user + times.system
        time.sleep(_LOOK_S)
    return sum(used.values())


def run_ours(folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """Our stage: figures and results."""
    sink = folder / "ours"
    paths = [str(path.absolute()) for path in (folder / "parquet", sink, folder)]
    figures = timed([sys.executable, "-m", "benchmarks.windows_job", *paths, str(_CORES)], folder)
    return figures, pl.read_parquet(sink / "*.parquet")


def run_flink(backend: str, folder: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """Flink with a state backend: figures and results, the transaction itself taken out."""
    sink = folder / f"flink-{backend}"
    script = ROOT / "benchmarks" / "flink" / "over_windows.py"
    paths = [str(path.absolute()) for path in (folder / "csv", sink)]
    figures = timed([str(FLINK), str(script), *paths, backend, str(_CORES)], folder)
    files = [file for file in sink.rglob("*") if file.is_file() and file.stat().st_size]
    names = ["id", *(f"{kind}_{window}" for window in ("1h", "24h", "7d", "30d") for kind in ("count", "sum"))]
    found = pl.concat([pl.read_csv(file, has_header=False, new_columns=names) for file in files])
    amounts = pl.read_parquet(folder / "parquet" / "*.parquet").select("id", "amount")
    return figures, found.join(amounts, on="id").select(
        "id",
        *(pl.col(name) - (1 if name.startswith("count") else pl.col("amount")) for name in names[1:]),
    )


def differing(ours: pl.DataFrame, theirs: pl.DataFrame, count: int) -> int:
    """How many of a sample of transactions have other values, or none."""
    sample = pl.DataFrame({"id": np.random.default_rng(1).choice(count, min(count, _SAMPLE), replace=False)})
    columns = ours.columns
    sides = [sample.join(side.select(columns), on="id", how="left").sort("id") for side in (ours, theirs)]
    equal = [sides[0][name].eq_missing(sides[1][name]) & sides[0][name].is_not_null() for name in columns]
    return sample.height - int(pl.select(pl.all_horizontal(equal)).to_series().sum())


def command(
    transactions: Annotated[int, typer.Option(min=1_000, help="Transactions.")] = 2_000_000,
    cards: Annotated[int, typer.Option(min=10, help="Cards.")] = 200_000,
    backends: Annotated[str, typer.Option(help="Flink state backends to compare with.")] = "hashmap rocksdb",
    json: JsonOption = None,
) -> None:
    """Time our stage and Flink on the same rows and compare their results.

    Example: python -m benchmarks.windows --transactions 200000 --cards 20000 --backends hashmap
    """
    if backends and not FLINK.exists():
        raise MisconfiguredError(".venv-flink", "is missing; the top of benchmarks/windows.py says how to make it")
    shutil.rmtree(_FOLDER, ignore_errors=True)
    write_transactions(_FOLDER, transactions, cards)
    machine = describe_machine()
    ours, values = run_ours(_FOLDER)
    figures: dict[str, Any] = {"machine": machine, "transactions": transactions, "cards": cards, "ours": ours}
    typer.echo(f"{machine}\n{transactions:,} transactions of {cards:,} cards")
    typer.echo(
        f"ours, Spark {ours['version']}: {ours['whole_s']:.1f} s, {transactions / ours['whole_s']:,.0f} rows/s, "
        f"{ours['cpu_s']:.0f} s of processor"
    )
    for backend in backends.split():
        flink, theirs = run_flink(backend, _FOLDER)
        ratio = flink["whole_s"] / ours["whole_s"]
        cpu_ratio = flink["cpu_s"] / ours["cpu_s"]
        different = differing(values, theirs, transactions)
        figures[backend] = flink | {"ratio": ratio, "cpu_ratio": cpu_ratio, "different": different}
        typer.echo(
            f"Flink {flink['version']}, {backend}: {flink['whole_s']:.1f} s, "
            f"{transactions / flink['whole_s']:,.0f} rows/s, {flink['cpu_s']:.0f} s of processor; ours is "
            f"{ratio:.1f} times as fast (aim {_REACH[backend]:.0f}), {cpu_ratio:.1f} times by processor time; "
            f"{different} of a sample differ"
        )
    write_json(json, figures)
    if any(figures[backend]["different"] for backend in backends.split()):
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
