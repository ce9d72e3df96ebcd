"""Both stateful stages inside Spark, through a restart that finds its local copies gone."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from fraud.features import FEATURE_NAMES
from fraud.features.offline import compute_features
from fraud.settings import Job, Settings
from processor.envelope import ROW_SCHEMA, ROWS, Kind, address, key_group_of, unpack
from processor.keyed_state.stream import with_features
from processor.session import open_session
from tests.support.feature_streams import LABELS, TRANSACTIONS
from tests.support.records import NOON, label, transaction

pytestmark = pytest.mark.spark

BATCHES, SIZE = 4, 60
COMPARED = ["sequence_number", *FEATURE_NAMES, "exact_card", "exact_merchant"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("job")
    return Settings(job=Job(state_folder=str(folder / "state"), checkpoint=str(folder / "checkpoint"), key_groups=3))


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Iterator[SparkSession]:
    session = open_session(settings)
    yield session
    session.stop()


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
        plain = transaction(**keys, event_time=time, billing_amount_minor=rng.randrange(1, 9_000))
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
    rows = [
        *address(Kind.TRANSACTIONS, transactions, key_group_of(transactions["card_token"], groups)),
        *address(Kind.LABELS, labels, key_group_of(labels["card_token"], groups)),
    ]
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), ROW_SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, schema=ROW_SCHEMA), file)


def run_available(spark: SparkSession, settings: Settings, source: Path, target: Path) -> None:
    rows = spark.readStream.schema(ROWS).option("maxFilesPerTrigger", 1).parquet(str(source))
    query = (
        with_features(rows, settings)
        .writeStream.format("parquet")
        .option("path", str(target))
        .option("checkpointLocation", settings.job.checkpoint)
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()


def test_a_restart_without_local_copies_goes_on_with_the_same_values(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    rng = random.Random(0)
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    batches = [random_batch(number * SIZE, rng) for number in range(BATCHES)]
    for number, (transactions, labels) in enumerate(batches):
        write_rows(source / f"{number}.parquet", transactions, labels, settings.job.key_groups)
        if number in (BATCHES // 2 - 1, BATCHES - 1):
            run_available(spark, settings, source, target)
            shutil.rmtree(settings.job.state_folder)

    stored = [row for file in sorted(target.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    decided = [
        row for part in stored if part["kind"] == Kind.TRANSACTIONS for row in unpack(part["payload"]).to_pylist()
    ]
    letters = [unpack(part["payload"]) for part in stored if part["kind"] == Kind.DEAD_LETTERS]
    wanted = compute_features(*(pa.Table.from_batches(both) for both in zip(*batches, strict=True))).to_pylist()
    by_place = {row["sequence_number"]: {name: row[name] for name in COMPARED} for row in decided}
    assert len(decided) == len(wanted)
    assert [by_place[row["sequence_number"]] for row in wanted] == [
        {name: row[name] for name in COMPARED} for row in wanted
    ]
    assert sum(part.num_rows for part in letters) == BATCHES * SIZE - len(wanted) > 0
