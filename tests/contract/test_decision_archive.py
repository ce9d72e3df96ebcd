"""The archive reads alike from a folder and from S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from adapters.archive.decision_archive import DecisionArchive, open_decision_archive
from fraud.errors import MisconfiguredError
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Aws, Settings
from tests.support.decision_archives import at, decided, labels_for, write_archive
from tests.support.decisions import policy
from tests.support.records import NOON

BUCKET = "fraud-test-archive"
COLUMNS = ["transaction_id", "event_time", "outcome", "count_10m"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> DecisionArchive:
    decisions = decided([at(day, count_10m=float(day)) for day in range(10)], [0.1] * 10, policy())
    write_archive(tmp_path / "archive", decisions, labels_for(decisions, [0, 3]), parts=3)
    if request.param == "folder":
        return DecisionArchive(str(tmp_path / "archive"), Aws())
    return _uploaded(tmp_path / "archive", request.getfixturevalue("server"))


def _uploaded(folder: Path, endpoint: str) -> DecisionArchive:
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    client.create_bucket(Bucket=BUCKET)
    for file in folder.rglob("*.parquet"):
        client.put_object(Bucket=BUCKET, Key=f"team/{file.relative_to(folder).as_posix()}", Body=file.read_bytes())
    settings = Settings(
        aws=Aws(endpoint_url=endpoint, region="us-east-1"), archive=ArchiveSettings(bucket=BUCKET, prefix="team/")
    )
    return open_decision_archive(None, settings.archive, settings.aws)


def test_decisions_come_in_chunks_between_two_times(archive: DecisionArchive) -> None:
    chunks = list(archive.decisions(COLUMNS, NOON + dt.timedelta(days=2), NOON + dt.timedelta(days=5)))

    found = pa.concat_tables(chunks)
    assert found.schema.names == COLUMNS
    assert sorted(found["count_10m"].to_pylist()) == [2, 3, 4, 5]
    assert all(column.num_chunks == 1 for chunk in chunks for column in chunk.columns)


def test_last_event_and_labels(archive: DecisionArchive) -> None:
    assert archive.last_event() == NOON + dt.timedelta(days=9)
    assert sorted(archive.labels()["transaction_id"].to_pylist()) == ["t-0", "t-3"]


def test_column_that_is_missing_is_named(archive: DecisionArchive) -> None:
    with pytest.raises(MisconfiguredError, match="lack the columns no_such_feature"):
        list(archive.decisions([*COLUMNS, "no_such_feature"], NOON, NOON))


def test_time_without_decisions_has_none(archive: DecisionArchive) -> None:
    assert list(archive.decisions(COLUMNS, NOON - dt.timedelta(days=9), NOON - dt.timedelta(days=8))) == []


def test_archive_without_labels_has_none_and_without_decisions_is_refused(tmp_path: Path) -> None:
    decisions = decided([at(0)], [0.1], policy())
    write_archive(tmp_path, decisions, labels_for(decisions, []))
    (tmp_path / "labels" / "date=2026-01-15" / "0.parquet").unlink()

    assert len(DecisionArchive(str(tmp_path), Aws()).labels()) == 0
    with pytest.raises(MisconfiguredError, match="no decisions there"):
        DecisionArchive(str(tmp_path / "labels"), Aws())
