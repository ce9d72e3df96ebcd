"""The roles of Terraform allow every AWS call that the workloads are seen to make.

Calls are seen on the wire, so that those of boto3, Arrow and Delta Lake count alike.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from pyspark.sql.streaming.datasource import ReadAllAvailable
from typer.testing import CliRunner

from adapters.alerts.alert import AlertUpdate
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.batch_replay import archived_batches
from adapters.archive.decision_archive import open_decision_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.payment_index import PaymentIndex
from adapters.audit.chain import AuditChain
from adapters.aws.clients import aws_client
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from adapters.events.file import FileReceiver
from adapters.events.outbox import Outbox
from adapters.files.sessions import StoredSessions
from adapters.model.registry import Stage, open_registry
from adapters.objects.opening import open_objects
from adapters.policy.backtests import StoredBacktests
from adapters.policy.source import PolicyStore, policy_files, read_bundle
from adapters.program.secret_box import open_secret_box
from cli.main import build_app
from fraud.audit import Entry
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Given, next_change
from fraud.path import FeaturePath
from fraud.records import Records, decode
from fraud.records.intake import decode_records
from fraud.settings import Aws, Model, Policy, Settings
from ml_model.artifact import load_artifact
from operations.dead_letters import DeadLetterStore
from operations.events.collection import Collection
from operations.events.delivery import Delivery, Figures, Patience
from operations.events.rendering import Rendering
from operations.lake import Lake
from operations.payment_follower import PaymentFollower
from processor.kinesis_source import options_from
from processor.kinesis_source.fan_out import registered_consumer
from processor.kinesis_source.following import StreamsReader
from processor.kinesis_source.options import parse_options
from processor.kinesis_source.reader import KinesisStreamReader
from processor.run import Run
from processor.sink.compose import open_committer
from tests.support.emulators import provisioned
from tests.support.model_archives import write_model_archive
from tests.support.recording_proxy import Needed, Recorder, recording
from tests.support.records import NOON, stream_records, transaction, wire
from tests.unit.infrastructure.test_terraform import DELIVERY, POLICIES, listed, policy

CHAMPION = Path(__file__).parents[2] / "config" / "model" / "champion"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An emulator whose archive holds a decision and, below `history`, 70 days of them; its policy alerts on all."""
    with provisioned() as located:
        folder = tmp_path_factory.mktemp("archive")
        write_model_archive(folder, days=70, per_day=80, fraud_share=0.3)
        s3 = aws_client("s3", located.aws)
        for file in folder.rglob("*.parquet"):
            s3.upload_file(str(file), located.archive.bucket, f"history/{file.relative_to(folder).as_posix()}")
        s3.upload_file(str(alert_all(folder)), located.archive.bucket, "policy/policy.yaml")
        policy = Policy(path=f"s3://{located.archive.bucket}/policy/policy.yaml")
        tagged = located.archive.model_copy(update={"tags": {"team": "fraud"}})
        settings = located.model_copy(update={"policy": policy, "archive": tagged})
        aws_client("secretsmanager", located.aws).create_secret(Name="access-keys", SecretString="k" * 32)
        open_committer(Run(settings=settings)).commit(0, 0, Records(a_transaction()))
        yield settings


@pytest.fixture
def seen(cloud: Settings) -> Iterator[tuple[Settings, Recorder]]:
    """Settings under which all calls are seen, and what sees them."""
    assert cloud.aws.endpoint_url is not None
    with recording(cloud.aws.endpoint_url) as recorder:
        yield cloud.model_copy(update={"aws": Aws(endpoint_url=recorder.address)}), recorder


def alert_all(folder: Path) -> Path:
    """A policy under which everything is an alert, so that the job uses all that it may."""
    rule = "{id: all, description: All., when: amount_minor > 0, outcome: review, severity: 1, reason: ALL, "
    rule += "text: all, owner: tests}"
    file = folder / "policy.yaml"
    file.write_text(f"thresholds: {{}}\nrules:\n  - {rule}\n")
    return file


def refused(workload: str, calls: set[Needed], bucket: str) -> set[Needed]:
    """The calls that the role of a workload does not allow, those of S3 by what they are about."""
    (file,) = (file for file in POLICIES + DELIVERY if file.stem == workload)
    allowed = [
        (action, resource)
        for statement in policy(file)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]

    def permits(call: Needed) -> bool:
        place = re.sub(f"^{bucket}(?=/|$)", "archive_arn", call.place)
        return any(call.action == action and (not place or fnmatchcase(place, each)) for action, each in allowed)

    return {call for call in calls if not permits(call)}


def a_transaction() -> pa.RecordBatch:
    decoded, _ = decode_records(decode.TRANSACTIONS, stream_records([wire(transaction(event_time=NOON))]))
    return FeaturePath().featured(decoded)


def run_job(settings: Settings) -> None:
    open_archive(settings.archive, settings.aws).require()
    AlertTable(settings.alerts, settings.aws).require_writable()
    reader = KinesisStreamReader(parse_options(options_from(settings)))
    pinned = reader.latestOffset({}, ReadAllAvailable())
    while not any(s["reads"] for shards in (reader.reportLatestOffset() or {}).values() for s in shards.values()):
        reader.latestOffset(pinned, ReadAllAvailable())
    reader.stop()
    register_consumers(settings, settings.source.consumer)
    for batch in (1, 1):  # the second attempt reads what the first has written
        open_committer(Run(settings=settings)).commit(batch, 0, Records(a_transaction()))


def register_consumers(settings: Settings, name: str) -> None:
    """What a reader by fan-out does before it subscribes, which the emulator does not know over HTTP/2."""
    client = aws_client("kinesis", settings.aws)
    for stream in (settings.streams.transactions, settings.streams.labels):
        assert registered_consumer(client, stream, name) == registered_consumer(client, stream, name)


def run_producer(settings: Settings) -> None:
    KinesisWriter(settings.streams.transactions, settings.aws).write([StreamRecord("card", b"{}")])


def run_decide(settings: Settings) -> None:
    read_bundle(policy_files(settings.policy.path, settings.aws))
    list(archived_batches(open_archive(settings.archive, settings.aws), settings.job.query))
    names = [settings.streams.transactions, settings.streams.labels]
    StreamsReader(aws_client("kinesis", settings.aws), names, {}, "earliest").read()
    register_consumers(settings, "fraud-decide-0")
    for stream in names:
        KinesisWriter(stream, settings.aws).write([StreamRecord("card", b"{}")])
    lists = policy_files(f"s3://{settings.archive.bucket}/policy/policy.yaml", settings.aws).lists
    assert lists is not None
    put = [Given("tok-1")]
    lists.append(
        lambda before: next_change(before, "cards", ListKind.BLOCK, "card", by="ann", at_ms=1, why="asked", put=put)
    )
    open_secret_box("frauddetector.secrets", "secretsmanager:access-keys", settings.aws)
    batches = open_objects(f"s3://{settings.archive.bucket}/batches", settings.aws)
    batches.put("in.csv", b"EVENT_ID")
    assert batches.get("in.csv") is not None
    batches.delete("in.csv")


def run_events(settings: Settings) -> None:
    archive, table = open_archive(settings.archive, settings.aws), AlertTable(settings.alerts, settings.aws)
    archive.require()
    table.require()
    lists = policy_files(settings.policy.path, settings.aws).lists
    outbox, rendering = Outbox(archive), Rendering(archive, table, lists, "bank")
    table.delete("changed:nothing:1")
    with tempfile.TemporaryDirectory() as folder:
        delivery = Delivery(
            "x", FileReceiver("x", Path(folder) / "events"), lambda _: True, outbox, rendering.events,
            Patience(1, 1), Figures(lambda *_: None, lambda *_: None), lambda _: False,
        )  # fmt: skip
        delivery.begin(True)
        Collection(archive, settings.job.query, table, lists, outbox, rendering.events, lambda: 1, False).turn()
        assert delivery.turn()


def run_console(settings: Settings) -> None:
    table = AlertTable(settings.alerts, settings.aws, announce=True)
    table.require()
    for item in table.newest().items:
        table.update(
            item["alert_id"],
            item["version"],
            AlertUpdate("escalated", "ann", {"by": "ann", "at_ms": 1, "change": "escalate"}),
        )
        table.get(item["alert_id"])
        table.get_many([item["alert_id"]])
    KinesisWriter(settings.streams.labels, settings.aws).write([StreamRecord("card", b"{}")])
    list(DeadLetterStore(open_archive(settings.archive, settings.aws), settings.aws).find())
    with tempfile.TemporaryDirectory() as folder:
        PaymentFollower(
            open_archive(settings.archive, settings.aws), PaymentIndex(Path(folder)), lambda: NOON, 30
        ).turn()
    store = PolicyStore(policy_files(settings.policy.path, settings.aws))
    bundle = store.read()
    assert store.write(bundle, PolicyBundle({**bundle.files, ROOT: bundle.files[ROOT] + "# reviewed\n"}))
    assert open_decision_archive(None, settings.archive, settings.aws).last_event()
    audit = AuditChain(open_objects(f"s3://{settings.archive.bucket}/console", settings.aws))
    for n in range(2):
        audit.append([Entry(n, "ann", "note", "key")])
    assert audit.check().fault is None
    sessions = StoredSessions(open_objects(f"s3://{settings.archive.bucket}/console", settings.aws))
    sessions.put("name", {"user": "ann"})
    assert list(sessions.names()) == ["name"]
    assert sessions.get("name") == {"user": "ann"}
    assert sessions.use_code("ann", 1)
    sessions.delete("name")
    backtests = StoredBacktests(open_objects(f"s3://{settings.archive.bucket}/console", settings.aws))
    backtests.add("one", {"state": "waiting"}, {})
    (kept,) = filter(None, map(backtests.run, backtests.open()))
    assert backtests.replace("one", {"state": "done"}, kept.tag)
    backtests.put_result("one", "{}")
    backtests.close("one")
    backtests.forget("one")


def run_maintenance(settings: Settings) -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)  # noqa: TID251 the store stamps objects
    Lake(settings.archive, settings.aws, tomorrow, dt.timedelta()).maintain(ArchiveKind.DECISIONS)


def run_drift(settings: Settings) -> None:
    fraud("drift", "--archive", history(settings), "--reference-days", "28", settings=settings)


def run_training(settings: Settings) -> None:
    registry = open_registry(settings.model.registry, settings.aws)
    description = load_artifact(CHAMPION)[1]
    registry.register(CHAMPION, description.version, description.metrics, NOON)
    registry.promote(description.version, Stage.CHAMPION, NOON, "ada")


def run_retraining(settings: Settings) -> None:
    run_training(settings)
    windows = {"training_days": 45, "evaluation_days": 15, "maturity_days": 3, "min_frauds": 20, "draws": 20}
    flags = [flag for name, value in windows.items() for flag in ("--set", f"retraining.{name}={value}")]
    fraud("models", "retrain", "--archive", history(settings), *flags, settings=settings)


def history(settings: Settings) -> str:
    return f"s3://{settings.archive.bucket}/history"


def fraud(*arguments: str, settings: Settings) -> None:
    """Runs a command as its CronJob does; drift and retraining say with 1 what they found."""
    given = {
        "aws.endpoint_url": settings.aws.endpoint_url,
        "model.registry": settings.model.registry,
        "log.level": "error",
    }
    flags = [flag for name, value in given.items() for flag in ("--set", f"{name}={value}")]
    result = CliRunner().invoke(build_app(), [*arguments, *flags])
    assert result.exit_code in (0, 1), result.output
    assert isinstance(result.exception, (SystemExit, type(None))), result.exception


@pytest.mark.parametrize(
    ("workload", "run", "least"),
    [
        ("job", run_job, {"kinesis:GetRecords", "s3:PutObject", "s3:GetObject", "dynamodb:PartiQLInsert"}),
        ("producer", run_producer, {"kinesis:PutRecords"}),
        (
            "decide",
            run_decide,
            {
                "kinesis:PutRecords",
                "kinesis:GetRecords",
                "s3:PutObject",
                "s3:DeleteObject",
                "secretsmanager:GetSecretValue",
            },
        ),
        ("events", run_events, {"dynamodb:DeleteItem", "dynamodb:Query", "s3:GetObject", "s3:PutObject"}),
        (
            "console",
            run_console,
            {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "kinesis:PutRecords", "s3:PutObject"},
        ),
        ("maintenance", run_maintenance, {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}),
        ("maintenance", run_drift, {"s3:ListBucket", "s3:GetObject"}),
        ("training", run_training, {"s3:PutObject", "s3:GetObject"}),
        ("training", run_retraining, {"s3:ListBucket", "s3:PutObject", "s3:GetObject"}),
    ],
)
def test_a_role_allows_what_its_workload_calls(
    seen: tuple[Settings, Recorder], workload: str, run: Callable[[Settings], None], least: set[str]
) -> None:
    settings, recorder = seen
    run(settings.model_copy(update={"model": Model(registry=f"s3://{settings.archive.bucket}/models")}))
    calls = recorder.needed()
    assert {call.action for call in calls} >= least
    assert refused(workload, calls, settings.archive.bucket) == set()


def test_the_role_of_a_deployment_allows_what_it_calls() -> None:
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    try:
        with recording(f"http://{host}:{port}") as recorder:
            settings = Settings(aws=Aws(endpoint_url=recorder.address), model=Model(registry="s3://models/models"))
            where = {"LocationConstraint": settings.aws.region}
            aws_client("s3", settings.aws).create_bucket(Bucket="models", CreateBucketConfiguration=where)
            run_training(settings)
            recorder.needed()
            flags = ["--endpoint", "fraud", "--image", "1234.dkr.ecr.eu-central-1.amazonaws.com/fraud/endpoint:1"]
            flags += ["--role", "arn:aws:iam::123456789012:role/fraud-model"]
            flags += ["--set", "deployment.instance_type=ml.c5.xlarge"]  # of the few that moto knows
            fraud("models", "deploy", "champion", *flags, settings=settings)
            calls = recorder.needed()
    finally:
        moto.stop()
    assert {"sagemaker:CreateEndpoint", "application-autoscaling:PutScalingPolicy", "s3:GetObject"} <= {
        call.action for call in calls
    }
    assert refused("models", calls, "models") == set()
