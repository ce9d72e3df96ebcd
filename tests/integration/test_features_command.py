"""`fraud features` over a real archive: Spark and one process give what the job would have stored."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.archive import Archive
from cli import features
from fraud.archive_layout import ArchiveKind
from fraud.errors import MisconfiguredError
from fraud.features import EXACT_FIELDS, FEATURE_NAMES
from fraud.features.entities import events_kept
from fraud.features.offline import FeaturePath
from fraud.settings import Job
from tests.support.keyed_state_jobs import SIZE, random_batch
from tests.support.stand_ins import provisioned

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")
JOB = Job(entities=("card", "merchant", "device", "bin"), key_groups=3)


def archive_history(archive: Archive) -> list[pa.RecordBatch]:
    """Puts a history into the archive, as two sink partitions wrote it; gives what the job decided, with features."""
    rng, path = random.Random(3), FeaturePath(events_kept(JOB))
    decided = []
    for number in range(4):
        transactions, labels = random_batch(number * SIZE, rng)
        if number == 2:
            path.fold_labels(labels)  # a batch of labels only
        else:
            decided.append(path.run(transactions, labels))
            for partition in (0, 1):
                part = decided[-1].take(pa.array(range(partition, decided[-1].num_rows, 2)))
                key = ArchiveKind.DECISIONS.key(JOB.query, number, partition, 0)
                archive.put_table_once(key, pa.Table.from_batches([part]))
        archive.put_table_once(ArchiveKind.LABELS.key(JOB.query, number, 0, 0), pa.Table.from_batches([labels]))
    return decided


def test_both_ways_give_what_the_job_decided_by(tmp_path: Path) -> None:
    with provisioned(tmp_path) as base:
        settings = base.model_copy(update={"job": JOB})
        wanted = rows_of(pa.Table.from_batches(archive_history(Archive(settings))))
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        features.command(tmp_path / "one", config=file)
        command = [str(FRAUD), "features", str(tmp_path / "many"), "--spark", "--config", str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        with pytest.raises(MisconfiguredError, match="is not empty"):
            features.command(tmp_path / "many", config=file)
    one, many = pq.read_table(tmp_path / "one"), pq.read_table(tmp_path / "many")
    assert one.schema.names == many.schema.names
    assert rows_of(one) == wanted
    assert rows_of(many) == wanted


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    names = ["sequence_number", *FEATURE_NAMES, *(field.name for field in EXACT_FIELDS)]
    rows: list[dict[str, object]] = table.select(names).sort_by("sequence_number").to_pylist()
    return rows
