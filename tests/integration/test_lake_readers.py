"""The examples of docs/sinks.md read the tables, each with its library."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from adapters.archive.delta import storage_options
from adapters.archive.layout import ArchiveKind
from adapters.aws.clients import aws_client
from fraud.settings import Model, Settings
from operations.lake import Lake
from processor.run import Run
from processor.sink.compose import open_committer
from tests.integration.test_commit import partition
from tests.support.emulators import provisioned
from tests.support.policies import write_policy
from tests.support.records import NOON

DOCUMENT = Path(__file__).parents[2] / "docs" / "sinks.md"
EXAMPLES = dict(
    re.findall(r"^(\w+)[^\n]*:[^\n]*\n\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
)
TABLE = "tables/decisions"
BY_OUTCOME = [("approve", 2), ("review", 4)]  # of each partition's three transactions two are above the policy's limit


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An archive with a table of two folded objects."""
    with provisioned() as located:
        policy = write_policy(tmp_path_factory.mktemp("policy") / "policy.yaml", 1000)
        ours = located.model_copy(update={"policy": policy, "model": Model(artifact="")})
        for number in range(2):
            open_committer(Run(settings=ours)).commit(number, 0, partition(f"card-{number}"))
        folded = Lake(ours.archive, ours.aws, NOON + dt.timedelta(days=1), dt.timedelta()).maintain(
            ArchiveKind.DECISIONS
        )
        assert folded.rows == 6
        yield ours


READER = """\
import json, os, sys
url, storage = sys.argv[1], json.loads(sys.argv[2])
{example}
print(json.dumps(by_outcome, default=int), flush=True)
os._exit(0)
"""
"""Ends at once: how a library's threads end with the interpreter, in some runs with an abort, is not tested here."""


@pytest.mark.parametrize("library", ["DuckDB", "Polars", "pandas"])
def test_a_library_reads_the_table_as_documented(settings: Settings, library: str) -> None:
    """In a process of its own, as its reader runs it: at the end of one that did much else, DuckDB reports leaks."""
    url = f"s3://{settings.archive.bucket}/{TABLE}"
    program = READER.format(example=EXAMPLES[library])
    command = [sys.executable, "-c", program, url, json.dumps(storage_options(settings.archive, settings.aws))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tuple(row) for row in json.loads(done.stdout)] == BY_OUTCOME


@pytest.mark.spark
def test_spark_reads_the_table_as_documented(settings: Settings, spark: SparkSession, tmp_path: Path) -> None:
    copy_table(settings, tmp_path)  # Spark's S3 client is in the job's image only
    names: dict[str, Any] = {"url": str(tmp_path / TABLE), "storage": {}, "spark": spark}
    exec(compile(EXAMPLES["Spark"], f"{DOCUMENT}: Spark", "exec"), names)
    assert names["by_outcome"] == BY_OUTCOME


def copy_table(settings: Settings, folder: Path) -> None:
    s3 = aws_client("s3", settings.aws)
    for entry in s3.list_objects_v2(Bucket=settings.archive.bucket, Prefix=TABLE)["Contents"]:
        file = folder / entry["Key"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(s3.get_object(Bucket=settings.archive.bucket, Key=entry["Key"])["Body"].read())
