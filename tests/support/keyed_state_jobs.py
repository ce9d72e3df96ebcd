"""Small streaming jobs of the stateful stages alone, from Parquet to Parquet."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from fraud.entities import CARD
from fraud.records import Records
from fraud.settings import Settings
from processor.envelope import ROWS, address, row_batch
from processor.keyed_state.stream import with_features
from processor.run import Run
from tests.support.feature_streams import LABELS, TRANSACTIONS
from tests.support.records import NOON, label, transaction

SIZE = 60
"""Transactions of a batch."""


def arrival(number: int) -> dict[str, Any]:
    place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0}
    return place | {"arrival_ms": number, "raw": b"{}"}


def random_batch(first: int, rng: random.Random) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    now = NOON + dt.timedelta(days=4 * first / SIZE)
    transactions: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    keys: dict[str, Any] = {}
    for number in range(first, first + SIZE):
        if not transactions or rng.random() < 0.9:
            keys = {
                "transaction_id": f"t-{number}",
                "card_token": f"card-{rng.randrange(7)}",
                "merchant_id": f"merchant-{rng.randrange(5)}",
            }
        time = now + dt.timedelta(minutes=rng.randrange(600))
        device = rng.choice([None, "device-1", "device-2"])
        fields = {"event_time": time, "billing_amount_minor": rng.randrange(1, 9_000), "device_id": device}
        plain = transaction(**keys, **fields, bin=f"41111{rng.randrange(3)}")
        transactions.append({name: plain.get(name) for name in TRANSACTIONS.names} | arrival(2 * number))
        known = label(**keys, transaction_time=time)
        if rng.random() < 0.3:
            labels.append({name: known.get(name) for name in LABELS.names} | arrival(2 * number + 1))
    raw = pa.field("raw", pa.binary())
    return (
        pa.RecordBatch.from_pylist(transactions, schema=TRANSACTIONS.append(raw)),
        pa.RecordBatch.from_pylist(labels, schema=LABELS.append(raw)),
    )


def write_rows(file: Path, transactions: pa.RecordBatch, labels: pa.RecordBatch, groups: int) -> None:
    rows = address(Records(transactions, labels), CARD, groups)
    pq.write_table(pa.Table.from_batches([row_batch(rows)]), file)


def run_available(
    spark: SparkSession, settings: Settings, source: Path, target: Path, backfill_id: str | None = None
) -> None:
    """Folds the files of `source` that were not folded yet, each as one batch."""
    rows = spark.readStream.schema(ROWS).option("maxFilesPerTrigger", 1).parquet(str(source))
    query = (
        with_features(rows, Run(settings=settings), backfill_id)
        .writeStream.format("parquet")
        .option("path", str(target))
        .option("checkpointLocation", settings.job.checkpoint)
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
