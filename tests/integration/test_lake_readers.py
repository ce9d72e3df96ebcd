"""The examples of docs/sinks.md read the tables, each with its library."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.aws import aws_client
from adapters.lake import Lake, storage_options
from fraud.archive_layout import ArchiveKind
from fraud.settings import Model, Settings
from processor.session import open_session
from processor.sink.commit import PartitionCommitter
from tests.integration.test_commit import partition, write_policy
from tests.support.records import NOON
from tests.support.stand_ins import provisioned

DOCUMENT = Path(__file__).parents[2] / "docs" / "sinks.md"
EXAMPLES = dict(
    re.findall(r"^(\w+)[^\n]*:[^\n]*\n\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
)
TABLE = "tables/decisions"
BY_OUTCOME = [("approve", 2), ("review", 4)]  # of each partition's three transactions two are above the policy's limit


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An archive with a table of two folded objects."""
    with provisioned(tmp_path_factory.mktemp("stand-in")) as located:
        policy = write_policy(tmp_path_factory.mktemp("policy") / "policy.yaml", 1000)
        ours = located.model_copy(update={"policy": policy, "model": Model(artifact="")})
        for number in range(2):
            PartitionCommitter(ours).commit(number, 0, partition(f"card-{number}"))
        folded = Lake(ours, NOON + dt.timedelta(days=1), dt.timedelta()).maintain(ArchiveKind.DECISIONS)
        assert folded.rows == 6
        yield ours


def run(example: str, **given: Any) -> Any:
    names: dict[str, Any] = dict(given)
    exec(compile(EXAMPLES[example], f"{DOCUMENT}: {example}", "exec"), names)
    return names["by_outcome"]


@pytest.mark.parametrize("library", ["DuckDB", "Polars", "pandas"])
def test_a_library_reads_the_table_as_documented(settings: Settings, library: str) -> None:
    url = f"s3://{settings.archive.bucket}/{TABLE}"
    assert run(library, url=url, storage=storage_options(settings)) == BY_OUTCOME


@pytest.mark.spark
def test_spark_reads_the_table_as_documented(settings: Settings, tmp_path: Path) -> None:
    copy_table(settings, tmp_path)  # Spark's S3 client is in the job's image only
    spark = open_session(Settings())
    try:
        assert run("Spark", url=str(tmp_path / TABLE), storage={}, spark=spark) == BY_OUTCOME
    finally:
        spark.stop()


def copy_table(settings: Settings, folder: Path) -> None:
    s3 = aws_client("s3", settings.aws)
    for entry in s3.list_objects_v2(Bucket=settings.archive.bucket, Prefix=TABLE)["Contents"]:
        file = folder / entry["Key"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(s3.get_object(Bucket=settings.archive.bucket, Key=entry["Key"])["Body"].read())
