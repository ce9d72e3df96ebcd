"""The stateful stages of all entities inside Spark, through a restart that finds its local copies gone."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.functions import spark_partition_id

from fraud.features import EXACT_FIELDS, FEATURE_NAMES, SHIPPED
from fraud.path import compute_features, with_every_feature
from fraud.settings import Job, Settings
from processor.envelope import spread_groups, unpack
from tests.support.keyed_state_jobs import SIZE, random_batch, run_available, write_rows

pytestmark = pytest.mark.spark

BATCHES = 4
COMPARED = ["sequence_number", *FEATURE_NAMES, *(field.name for field in EXACT_FIELDS)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("job")
    folders = {"state_folder": str(folder / "state"), "checkpoint": str(folder / "checkpoint")}
    return Settings(job=Job(**folders, key_groups=3, entities=("card", "merchant", "device", "bin")))


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
    transactions = [unpack(part["payload"]) for part in stored if part["kind"] == "transactions"]
    decided = [row for part in transactions for row in with_every_feature(part, SHIPPED).to_pylist()]
    dead_letters = [unpack(part["payload"]) for part in stored if part["kind"] == "dead_letters"]
    history = (pa.Table.from_batches(both) for both in zip(*batches, strict=True))
    wanted = compute_features(next(history), next(history), settings).to_pylist()
    by_place = {row["sequence_number"]: {name: row[name] for name in COMPARED} for row in decided}
    assert len(decided) == len(wanted)
    assert [by_place[row["sequence_number"]] for row in wanted] == [
        {name: row[name] for name in COMPARED} for row in wanted
    ]
    assert sum(part.num_rows for part in dead_letters) == BATCHES * SIZE - len(wanted) > 0


@pytest.mark.parametrize(("groups", "partitions"), [(4, 2), (64, 8), (5, 5), (8, 1)])
def test_key_groups_lie_evenly_in_the_partitions(spark: SparkSession, groups: int, partitions: int) -> None:
    rows = spark.createDataFrame([(int(number),) for number in spread_groups(groups)], "key_group int")
    placed = rows.repartition(partitions, "key_group").groupBy(spark_partition_id()).count().collect()
    assert sorted(row["count"] for row in placed) == [groups // partitions] * partitions


def test_workers_begin_with_what_they_need(spark: SparkSession) -> None:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.record_batch({"known": ["processor.keyed_state.stateful" in sys.modules]})

    assert all(row["known"] for row in spark.range(2, numPartitions=2).mapInArrow(look, "known boolean").collect())
