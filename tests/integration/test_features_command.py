"""`fraud features` over a real archive: Spark and one process give what the job would have stored."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adapters.archive.archive import Archive, open_archive
from adapters.archive.layout import ArchiveKind
from cli import features
from fraud.errors import MisconfiguredError
from fraud.features import EXACT_FIELDS, FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.settings import Job, Settings
from tests.support.decision_archives import written_by_another_version
from tests.support.emulators import provisioned
from tests.support.keyed_state_jobs import SIZE, random_batch

pytestmark = pytest.mark.spark

YOUNG = ["ip_address", "card_count_1h", "exact_bin"]
"""A field that no feature reads, a feature, and a mark of an entity: what an older version stored nothing of."""

JOB = Job(entities=("card", "merchant", "device", "bin"), key_groups=3)


def archive_history(archive: Archive) -> list[pa.RecordBatch]:
    """Puts a history into the archive, as two sink partitions wrote it; gives what the job decided, with features.

    Another version wrote the first batch: it knew nothing of `YOUNG`.
    """
    rng, path = random.Random(3), FeaturePath(Settings(job=JOB))
    decided = []
    for number in range(4):
        transactions, labels = random_batch(number * SIZE, rng)
        of_labels_only = number == 2
        featured = path.advance(Records(None if of_labels_only else transactions, labels)).transactions
        if featured is not None:
            decided.append(featured)
            for partition in (0, 1):
                part = decided[-1].take(pa.array(range(partition, decided[-1].num_rows, 2)))
                key = ArchiveKind.DECISIONS.key(JOB.query, number, partition, 0)
                archive.put_table_once(key, pa.Table.from_batches([part]))
        archive.put_table_once(ArchiveKind.LABELS.key(JOB.query, number, 0, 0), pa.Table.from_batches([labels]))
    for partition in (0, 1):
        written_by_another_version(archive, ArchiveKind.DECISIONS.key(JOB.query, 0, partition, 0), YOUNG)
    written_by_another_version(archive, ArchiveKind.LABELS.key(JOB.query, 0, 0, 0), ["terminal_id"])
    return decided


@pytest.mark.usefixtures("_spark_ends")
def test_both_ways_give_what_the_job_decided_by(tmp_path: Path) -> None:
    with provisioned() as base:
        settings = base.model_copy(update={"job": JOB})
        wanted = rows_of(pa.Table.from_batches(archive_history(open_archive(settings.archive, settings.aws))))
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        features.command(tmp_path / "one", config=file)
        features.command(tmp_path / "many", spark=True, config=file)
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
