"""The roles of Terraform allow every AWS call that the workloads are seen to make."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from pyspark.sql.streaming.datasource import ReadAllAvailable

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.dead_letters import DeadLetterStore
from adapters.lake import Lake
from adapters.model_registry import Stage, open_registry
from adapters.payment_follower import PaymentFollower
from adapters.payment_index import PaymentIndex
from adapters.stream_writer import KinesisWriter, StreamRecord
from fraud import decode
from fraud.alert import AlertUpdate
from fraud.archive_layout import ArchiveKind
from fraud.features.offline import FeaturePath
from fraud.settings import Policy, Settings
from ml_model.artifact import load_artifact
from processor.decode_stage import decode_records
from processor.kinesis_source import options_from
from processor.kinesis_source.options import parse_options
from processor.kinesis_source.reader import KinesisStreamReader
from processor.sink.assemble import Assembled
from processor.sink.commit import PartitionCommitter
from tests.support.records import NOON, stream_records, transaction, wire
from tests.support.stand_ins import provisioned
from tests.unit.infrastructure.test_terraform import POLICIES, listed, policy

CHAMPION = Path(__file__).parents[2] / "config" / "model" / "champion"

RENAMED = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "dynamodb:BatchExecuteStatement": "dynamodb:PartiQLInsert",
    "sagemaker-runtime:InvokeEndpoint": "sagemaker:InvokeEndpoint",
}
"""Calls whose action has another name (Service Authorization Reference)."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as located:
        yield located.model_copy(update={"policy": Policy(path=str(alert_all(tmp_path_factory.mktemp("policy"))))})


def alert_all(folder: Path) -> Path:
    """A policy under which everything is an alert, so that the job uses all that it may."""
    rule = "{id: all, description: All., when: amount_minor > 0, outcome: review, severity: 1, reason: ALL, "
    rule += "text: all, owner: tests}"
    file = folder / "policy.yaml"
    file.write_text(f"thresholds: {{}}\nrules:\n  - {rule}\n")
    return file


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The actions of all calls that clients made from now on make."""
    seen: set[str] = set()
    session = boto3.Session()

    def note(model: Any, **_: Any) -> None:
        name = f"{model.service_model.service_name}:{model.name}"
        seen.add(RENAMED.get(name, name))

    session.events.register("before-call", note)
    monkeypatch.setattr("adapters.aws._session", lambda: session)
    return seen


def allowed(workload: str) -> set[str]:
    (file,) = (file for file in POLICIES if file.stem == workload)
    return {action for statement in policy(file) for action in listed(statement["Action"])}


def a_transaction() -> pa.RecordBatch:
    decoded, _ = decode_records(decode.TRANSACTIONS, stream_records([wire(transaction(event_time=NOON))]))
    return FeaturePath().run(decoded)


def run_job(settings: Settings) -> None:
    Archive(settings).require()
    AlertTable(settings).require_writable()
    reader = KinesisStreamReader(parse_options(options_from(settings)))
    pinned = reader.latestOffset({}, ReadAllAvailable())
    while not any(s["reads"] for shards in (reader.reportLatestOffset() or {}).values() for s in shards.values()):
        reader.latestOffset(pinned, ReadAllAvailable())
    reader.stop()
    for batch in (1, 1):  # the second attempt reads what the first has written
        PartitionCommitter(settings).commit(batch, 0, Assembled(a_transaction(), None, None))


def run_producer(settings: Settings) -> None:
    KinesisWriter(settings.streams.transactions, settings.aws).write([StreamRecord("card", b"{}")])


def run_console(settings: Settings) -> None:
    table = AlertTable(settings)
    table.require()
    for item in table.newest().items:
        table.update(item["alert_id"], item["version"], AlertUpdate("escalated", "ann", {"by": "ann"}))
        table.get(item["alert_id"])
        table.get_many([item["alert_id"]])
    KinesisWriter(settings.streams.labels, settings.aws).write([StreamRecord("card", b"{}")])
    list(DeadLetterStore(settings).find())
    with tempfile.TemporaryDirectory() as folder:
        PaymentFollower(Archive(settings), PaymentIndex(Path(folder)), lambda: NOON, 30).turn()


def run_maintenance(settings: Settings) -> None:
    Lake(settings, dt.datetime.now(dt.UTC) + dt.timedelta(days=1), dt.timedelta()).maintain(ArchiveKind.DECISIONS)


def run_training(settings: Settings) -> None:
    registry = open_registry(f"s3://{settings.archive.bucket}/models", settings.aws)
    description = load_artifact(CHAMPION)[1]
    registry.register(CHAMPION, description.version, description.metrics, NOON)
    registry.promote(description.version, Stage.CHAMPION, NOON)


@pytest.mark.parametrize(
    ("workload", "run", "least"),
    [
        ("job", run_job, {"kinesis:GetRecords", "s3:PutObject", "s3:GetObject", "dynamodb:PartiQLInsert"}),
        ("producer", run_producer, {"kinesis:PutRecords"}),
        ("console", run_console, {"dynamodb:UpdateItem", "dynamodb:Query", "kinesis:PutRecords"}),
        ("maintenance", run_maintenance, {"s3:ListBucket", "s3:GetObject"}),
        ("training", run_training, {"s3:PutObject", "s3:GetObject"}),
    ],
)
def test_a_role_allows_what_its_workload_calls(
    settings: Settings, calls: set[str], workload: str, run: Callable[[Settings], None], least: set[str]
) -> None:
    run(settings)
    assert calls >= least
    assert calls <= allowed(workload)
