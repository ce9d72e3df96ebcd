"""The full catalogue: the fold alone, the stateful stages in Spark, the time of a trigger.

Wall times on a machine that others use say little, so processor time stands beside them.

Run: python -m benchmarks.features --json features.json
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from pyspark.sql import SparkSession

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from fraud.entities import CARD, TRANSACTION, measured
from fraud.features.catalogue import features_of
from fraud.features.warm_up import compile_kernels
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.settings import Job, Settings
from processor.envelope import ROWS, address, row_batch
from processor.keyed_state.stream import with_features
from processor.run import Run
from processor.session import open_session
from producer.campaigns.plan import load_plan
from producer.data_generator import generate, in_batches
from producer.economy import draw_economy

GOAL_PER_S, GOAL_TRIGGER_MS = 25_000, 350
FIRST_DAY = 20_450
_FOLDER = Path(".local/features")
_BATCH, _SMALL_BATCH = 20_000, 350
_WARM_UP, _TRIGGERS = 3, 40
_RAW = pa.field("raw", pa.binary())


def transactions(cards: int, merchants: int, size: int) -> Iterator[pa.RecordBatch]:
    """Generated transactions with arrivals, in batches."""
    number = 0
    for part in in_batches(generate(draw_economy(7, cards, merchants), load_plan("default"), FIRST_DAY), size):
        count = part.transactions.num_rows
        numbers = np.arange(number, number + count)
        names = pa.repeat(pa.scalar("0"), count)
        zeros = pa.array(np.zeros(count, np.int64))
        arrival = [names, names, pa.array(numbers).cast(pa.string()), zeros, pa.array(numbers)]
        schema = pa.schema([*ARRIVAL_FIELDS, *part.transactions.schema])
        yield pa.RecordBatch.from_arrays([*arrival, *part.transactions.columns], schema=schema)
        number += count


def fold_alone(batches: list[pa.RecordBatch], settings: Settings) -> float:
    """Transactions that one core folds in a second, once cards and merchants have a history."""
    path = FeaturePath(settings)
    half = len(batches) // 2
    for batch in batches[:half]:
        path.advance(Records(batch))
    started = time.process_time()
    for batch in batches[half:]:
        path.advance(Records(batch))
    spent_s = time.process_time() - started
    folded: int = sum(batch.num_rows for batch in batches[half:])
    return folded / spent_s


def write_rows(folder: Path, batches: list[pa.RecordBatch], first: int = 0) -> None:
    """Batches as the decoding stage hands them on, a file each, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, batch in enumerate(batches, first):
        raw = batch.append_column(_RAW, pa.repeat(pa.scalar(b"x" * 600, pa.binary()), batch.num_rows))
        rows = address(Records(raw), CARD, Job().key_groups)
        pq.write_table(pa.Table.from_batches([row_batch(rows)]), folder / f"{number:04d}.parquet")


def triggers_ms(spark: SparkSession, settings: Settings, source: Path) -> list[float]:
    """Folds the files of a folder that were not folded yet, each in one trigger; how long each took."""
    rows = spark.readStream.schema(ROWS).option("maxFilesPerTrigger", 1).parquet(str(source))
    writer = with_features(rows, Run(settings=settings)).writeStream.format("noop")
    query = (
        writer.option("checkpointLocation", f"{settings.job.checkpoint}-{source.name}")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return [progress.durationMs["triggerExecution"] for progress in query.recentProgress if progress.numInputRows]


def processor_s() -> float:
    """Seconds of processor that this process and its descendants have used."""
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
    return float(sum(spent.user + spent.system for spent in times))


def command(
    cards: Annotated[int, typer.Option(min=100, help="Cards of the population.")] = 20_000,
    merchants: Annotated[int, typer.Option(min=100, help="Merchants of the population.")] = 4_000,
    batches: Annotated[int, typer.Option(min=6, help="Large batches, 20,000 transactions each.")] = 20,
    entities: Annotated[str, typer.Option(help="Whose behaviour to measure.")] = "card merchant",
    json: JsonOption = None,
) -> None:
    """Measure the feature engine.

    \b
    Examples:
      python -m benchmarks.features --batches 10
      python -m benchmarks.features --entities "card merchant device bin"
    """
    shutil.rmtree(_FOLDER, ignore_errors=True)
    # A job of its own state for each part, warmed up by its first triggers.
    large = list(itertools.islice(transactions(cards, merchants, _BATCH), batches))
    small = list(itertools.islice(transactions(cards, merchants, _SMALL_BATCH), _TRIGGERS))
    compile_kernels()
    folders = {"state_folder": str(_FOLDER / "state"), "checkpoint": str(_FOLDER / "checkpoint")}
    settings = Settings.model_validate({"job": folders | {"entities": entities.split()}})
    features = len(features_of(TRANSACTION, *measured(settings.job)))
    alone = fold_alone(large, settings)
    spark = open_session(settings)
    write_rows(_FOLDER / "large", large[:_WARM_UP])
    triggers_ms(spark, settings, _FOLDER / "large")
    write_rows(_FOLDER / "large", large[_WARM_UP:], _WARM_UP)
    before = processor_s()
    took = triggers_ms(spark, settings, _FOLDER / "large")
    cpu_s = processor_s() - before
    shutil.rmtree(_FOLDER / "state")
    write_rows(_FOLDER / "small", small)
    small_took = triggers_ms(spark, settings, _FOLDER / "small")[_WARM_UP:]
    spark.stop()
    trigger = statistics.median(small_took)
    figures: dict[str, Any] = {
        "machine": describe_machine(),
        "entities": entities.split(),
        "features": features,
        "load_average": os.getloadavg()[0],
        "fold_per_core_per_s": alone,
        "stages_per_s": 1000 * _BATCH * len(took) / sum(took),
        "stages_processor_us": 1e6 * cpu_s / (_BATCH * len(took)),
        "trigger_median_ms": trigger,
    }
    typer.echo(f"{figures['machine']}, load {figures['load_average']:.1f}")
    typer.echo(f"fold of {features} features: {alone:,.0f} transactions/s on one core")
    typer.echo(
        f"stages of {entities} in Spark, batches of {_BATCH:,}: {figures['stages_per_s']:,.0f} transactions/s "
        f"(aim {GOAL_PER_S:,}), {figures['stages_processor_us']:.0f} us of processor each"
    )
    typer.echo(f"trigger of {_SMALL_BATCH} transactions: median {trigger:.0f} ms (aim {GOAL_TRIGGER_MS})")
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
