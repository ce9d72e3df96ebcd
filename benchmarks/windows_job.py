"""Count and sum of each card over exact windows by the project's own stateful stage, from Parquet to Parquet.

Prints its figures as JSON. Run: python -m benchmarks.windows_job SOURCE SINK FOLDER FILES_A_BATCH
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fraud.entities import CARD
from fraud.features import aggregates
from fraud.features.catalogue import DAY_MS, HOUR_MS, Feature
from fraud.money import minor_units
from fraud.path import Step
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Job, Money, Settings
from processor.envelope import ROWS, address, row_batch, unpack
from processor.keyed_state.stateful import EntityProcessor
from processor.run import Run
from processor.session import open_session, start_daemon

WINDOWS_MS = {"1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
FEATURES = tuple(
    Feature(
        f"{aggregate.name.lower()}_{name}",
        CARD,
        aggregate,
        aggregate.unit,
        "",
        window_ms=window_ms,
    )
    for name, window_ms in WINDOWS_MS.items()
    for aggregate in (aggregates.COUNT, aggregates.SUM)
)
SOURCE = "id long, card_token string, amount long, at_ms long"
_CONSTANTS = {
    "transaction_type": "purchase",
    "authorisation_result": "approved",
    "merchant_id": "m",
    "merchant_country": "DE",
    "mcc": "5411",
    "channel": "ecommerce",
}
_UNKNOWN = "merchant_lat", "merchant_lon", "device_id", "recorded_arrival"
_GIVEN = "transaction_id", "event_time", "card_token", "billing_amount_minor"
_COLUMNS = pa.schema([*ARRIVAL_FIELDS, *(TRANSACTION_SCHEMA.field(name) for name in (*_GIVEN, *_CONSTANTS, *_UNKNOWN))])
_RESULTS = ", ".join(["id long", *(f"{feature.name} long" for feature in FEATURES)])


class WindowsProcessor(EntityProcessor):
    """The job's processor with the benchmark's features; gives their values, one row a transaction."""

    def step(self) -> Step:
        """Nothing but the windows is asked for."""
        return Step(CARD, self._run.settings, FEATURES)

    def receive(self, rows: Iterable[tuple[str, bytes]]) -> Records:
        """Adds what all transactions have in common."""
        return Records(as_transactions(super().receive(rows).transactions))

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: tuple[Any, ...],
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: N803 - Spark's name
    ) -> Iterator[pd.DataFrame]:
        """Folds one key group's rows of a batch."""
        for frame in super().handleInputRows(key, rows, timerValues):
            yield from map(as_results, frame["payload"])


def as_transactions(rows: pa.RecordBatch) -> pa.RecordBatch:
    """What a decoded transaction has of it."""
    ids, at = rows["id"].cast(pa.string()), rows["at_ms"]
    given = {
        "sequence_number": ids,
        "arrival_ms": at,
        "transaction_id": ids,
        "event_time": at,
        "card_token": rows["card_token"],
        "billing_amount_minor": rows["amount"],
    }
    columns = []
    for field in _COLUMNS:
        if field.name in given:
            columns.append(given[field.name].cast(field.type))
        elif field.name in _UNKNOWN:
            columns.append(pa.nulls(rows.num_rows, field.type))
        else:
            constant = _CONSTANTS.get(field.name, "" if pa.types.is_string(field.type) else 0)
            columns.append(pa.repeat(pa.scalar(constant, field.type), rows.num_rows))
    return pa.RecordBatch.from_arrays(columns, schema=_COLUMNS)


def to_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Addresses transactions to their card's key group."""
    for batch in batches:
        yield row_batch(address(Records(batch), CARD, Job().key_groups))


def as_results(payload: bytes) -> pd.DataFrame:
    """Values of folded transactions; sums in minor units."""
    part = unpack(payload)
    columns = {"id": part["transaction_id"].cast(pa.int64()).to_numpy()}
    for feature in FEATURES:
        values = part[feature.name].to_numpy(zero_copy_only=False)
        scale = minor_units(Money().base_currency) if feature.aggregate is aggregates.SUM else 1
        columns[feature.name] = np.rint(values * scale).astype(np.int64)
    return pd.DataFrame(columns)


def main() -> None:
    """Runs the stage over all files."""
    source, sink, folder, files = sys.argv[1:5]
    job = Job(state_folder=f"{folder}/state", checkpoint=f"{folder}/checkpoint")
    settings = Settings(job=job)
    spark = open_session(settings)
    start_daemon(spark)
    started = time.perf_counter()
    rows = spark.readStream.schema(SOURCE).option("maxFilesPerTrigger", files).parquet(source).mapInArrow(to_rows, ROWS)
    stage = rows.groupBy("key_group").transformWithStateInPandas(
        WindowsProcessor(CARD, Run(settings=settings)), _RESULTS, "Append", "None"
    )
    writer = stage.writeStream.format("parquet").option("path", sink)
    query = writer.option("checkpointLocation", job.checkpoint).trigger(availableNow=True).start()
    query.awaitTermination()
    triggers = [
        {"rows": progress.numInputRows, **progress.durationMs}
        for progress in query.recentProgress
        if progress.numInputRows
    ]
    print(json.dumps({"running_s": time.perf_counter() - started, "version": spark.version, "triggers": triggers}))
    spark.stop()


if __name__ == "__main__":
    main()
