"""`fraud state` on the checkpoint of a real job, and a job that begins with backfilled state."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from adapters.archive.archive import open_archive
from cli.main import main
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.entities import measured
from fraud.errors import MisconfiguredError
from fraud.features.catalogue import catalogue_of
from fraud.features.inspect import key_table, state_table
from fraud.path import FeaturePath, compute_features
from fraud.records import Records
from fraud.settings import Job, Settings
from processor.envelope import unpack
from processor.keyed_state.backfill import Backfill, backfill_id_of
from processor.session import open_session
from tests.support.emulators import provisioned
from tests.support.keyed_state_jobs import random_batch, run_available, write_rows
from tests.support.programs import run_here

pytestmark = pytest.mark.spark

GROUPS = 3
OWN = """
entities:
  - {name: customer, columns: [customer_id], label: customer, velocity: {windows: 24h 14d}}
  - {name: bin_merchant, columns: [bin, merchant_id], label: BIN at this merchant}
features:
  - {entity: bin_merchant, name: devices, aggregate: distinct, input: device, windows: 7d, unit: devices}
  - {entity: card, name: mean, aggregate: mean, windows: 36h}
"""
"""Features of a deployment: of an entity and a pair that do not ship, and of one that does."""
Batches = list[tuple[pa.RecordBatch, pa.RecordBatch]]


@pytest.fixture(scope="module")
def batches() -> Batches:
    rng = random.Random(1)
    return [random_batch(number * 60, rng) for number in range(4)]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


def job_in(folder: Path, base: Settings) -> Settings:
    job = Job(
        state_folder=str(folder / "state"),
        checkpoint=str(folder / "checkpoint"),
        key_groups=GROUPS,
        entities=["card", "merchant"],
        features=Declared.model_validate(parse_yaml("own", OWN)),
    )
    return base.model_copy(update={"job": job})


def run_job(
    spark: SparkSession, settings: Settings, folder: Path, batches: Batches, backfill_id: str | None = None
) -> list[pa.RecordBatch]:
    """The parts that the job gave for transactions."""
    source, target = folder / "source", folder / "target"
    source.mkdir()
    for number, (transactions, labels) in enumerate(batches):
        write_rows(source / f"{number}.parquet", transactions, labels, GROUPS)
    run_available(spark, settings, source, target, backfill_id)
    rows = [row for file in target.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return [unpack(row["payload"]) for row in rows if row["kind"] == "transactions"]


@pytest.fixture(scope="module")
def finished(_spark_ends: None, tmp_path_factory: pytest.TempPathFactory, batches: Batches) -> tuple[Path, FeaturePath]:
    """The settings file of a job that has folded all batches, and the same fold in one process."""
    folder = tmp_path_factory.mktemp("job")
    settings = job_in(folder, Settings())
    run_job(open_session(settings), settings, folder, batches)
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump()))
    path = FeaturePath(settings)
    for transactions, labels in batches:
        path.advance(Records(transactions, labels))
    return file, path


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {str(path): (status.st_size, status.st_mtime_ns) for path, status in found.items()}


def by_key(table: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = table.sort_by("key_hash").to_pylist()
    return rows


def test_the_export_is_the_state_of_the_same_fold_in_one_process(
    finished: tuple[Path, FeaturePath], tmp_path: Path
) -> None:
    settings_file, path = finished
    checkpoint = settings_file.parent / "checkpoint"
    before = files_of(checkpoint)
    command = ["state", "export", str(tmp_path / "out"), "--config", str(settings_file)]
    done = run_here(main, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert files_of(checkpoint) == before
    assert {"card", "merchant", "customer", "bin_merchant"} == {entity.name for entity in path.states}
    for entity in path.states:
        exported = pa.concat_tables(
            [pq.read_table(file) for file in (tmp_path / "out" / entity.name).glob("*.parquet")]
        )
        assert by_key(exported) == by_key(state_table(path.states[entity]))
    again = run_here(main, *command)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_one_of_a_declared_entity_is_shown_with_its_events(finished: tuple[Path, FeaturePath], tmp_path: Path) -> None:
    settings_file, path = finished
    figures = tmp_path / "shown.json"
    command = ["state", "show", "--config", str(settings_file), "--json", str(figures), "bin_merchant"]
    done = run_here(main, *command, "411112", "merchant-3")
    assert done.returncode == 0, done.stdout + done.stderr
    (kind,) = (entity for entity in path.states if entity.name == "bin_merchant")
    (wanted,) = key_table(path.states[kind], kind, ["411112", "merchant-3"]).to_pylist()
    shown = json.loads(figures.read_text())
    assert (shown["batch"], shown["key_hash"]) == (3, wanted["key_hash"])
    assert len(shown["events"]) == len(wanted["events"]) > 0
    assert f"remembered      {len(wanted['events'])} events" in done.stdout


def test_a_backfilled_job_goes_on_as_if_it_had_seen_the_history(
    spark: SparkSession, endpoint: Settings, batches: Batches, tmp_path: Path
) -> None:
    settings = job_in(tmp_path, endpoint)
    archive = open_archive(settings.archive, settings.aws)
    history = Backfill(settings)
    for first in batches[:2]:
        history.fold(Records(*first))
    history.write(archive, "first", {"query": "earlier"})
    with pytest.raises(MisconfiguredError, match="was backfilled already"):
        history.write(archive, "second", {})
    with pytest.raises(MisconfiguredError, match=r"job\.key_groups: is 5, but fraud was backfilled with 3"):
        backfill_id_of(settings.model_copy(update={"job": settings.job.model_copy(update={"key_groups": 5})}))

    # The second batch comes again, as from a stream that is read from its beginning.
    decided = run_job(spark, settings, tmp_path, batches[1:], backfill_id_of(settings))
    transactions, labels = (pa.Table.from_batches(both) for both in zip(*batches, strict=True))
    wanted = compute_features(transactions, labels, settings)
    of_all = catalogue_of(settings).features_of(*measured(settings.job))
    names = ["sequence_number", *(feature.name for feature in of_all)]
    assert {"customer_count_14d", "bin_merchant_devices_7d", "card_mean_36h"} <= set(names)
    expected = {row["sequence_number"]: row for row in wanted.select(names).to_pylist()}
    found = [row for part in decided for row in part.select(names).to_pylist()]
    assert {row["sequence_number"] for row in found} == {number for number in expected if int(number) >= 2 * 2 * 60}
    assert all(row == expected[row["sequence_number"]] for row in found)
