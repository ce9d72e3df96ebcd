"""The real job on the local stack: each transaction is decided once, as training sees it, each alert readable once."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from adapters.aws.clients import aws_client
from embedded.emulator import free_port
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.decision.key import Subject
from fraud.features import SHIPPED
from fraud.settings import Health as HealthSettings
from fraud.settings import Settings
from tests.support.calendar import FROM_FIRST_DAY

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")
HANDBOOK = ROOT.parent / "shared" / "data" / "handbook" / "transactions.parquet"

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1200)]


def sent_to(settings: Settings) -> Counter[Subject]:
    """What is on the stream, read with the plain AWS calls of a foreign reader."""
    kinesis = aws_client("kinesis", settings.aws)
    name = settings.streams.transactions
    found: Counter[Subject] = Counter()
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        place = kinesis.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        while True:
            answer = kinesis.get_records(ShardIterator=place, Limit=10_000)
            records = (json.loads(record["Data"]) for record in answer["Records"])
            found.update(
                Subject.of(each | {"event_time": dt.datetime.fromisoformat(each["event_time"])}) for each in records
            )
            if not answer["Records"] and not answer["MillisBehindLatest"]:
                break
            place = answer["NextShardIterator"]
    return found


def items(settings: Settings) -> list[dict[str, Any]]:
    """The alert table's items, as DynamoDB has them."""
    pages = aws_client("dynamodb", settings.aws).get_paginator("scan").paginate(TableName=settings.alerts.table)
    return [item for page in pages for item in page["Items"]]


def alert_ids(settings: Settings) -> Counter[str]:
    """Decision keys in the alert table."""
    return Counter(item["alert_id"]["S"] for item in items(settings))


def fraud(*arguments: str, json_file: Path) -> dict[str, Any]:
    """What a command that must succeed writes for `--json`."""
    command = [str(FRAUD), *arguments, "--json", str(json_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(json_file.read_text())
    return figures


class Health:
    """What the job's health address says.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        lines = self._get(port, "metrics").decode().splitlines()
        self.samples = {
            name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[0] != "#"
        }
        self.ready = json.loads(self._get(port, "ready"))["ready"]
        self.lag_ms: dict[str, int] = json.loads(self._get(port, "lag"))["lag_ms"]

    @staticmethod
    def _get(port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
            return bytes(answer.read())

    def total(self, family: str) -> float:
        """The sum over a family's series."""
        found = [value for name, value in self.samples.items() if name.partition("{")[0] == family]
        assert found, family
        return sum(found)


def health_after(port: int, decided: int) -> Health:
    """The job's health once its metrics count so many decisions: they follow what is stored by a moment."""
    deadline = time.monotonic() + 180
    while (health := Health(port)).total("fraud_transactions_decided_total") < decided:
        assert time.monotonic() < deadline, health.samples
        time.sleep(0.1)
    return health


def assert_log_names_no_card(file: Path, settings: Settings) -> None:
    """Our lines of a job's log are JSON, and none of any program holds a card token in full."""
    text = file.read_text()
    ours = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {"query_started", "batch", "query_stopped"} <= {line.get("event") for line in ours}
    held = {item["card_token"]["S"] for item in items(settings)}
    assert held
    assert not [token for token in held if token in text]


def test_what_is_on_the_stream_is_decided_once_with_the_features_that_training_computes(tmp_path: Path) -> None:
    port = free_port()
    with LocalStack(Settings(health=HealthSettings(port=port)), tmp_path / "run") as stack:
        run = Run(stack, lambda *_: None)
        source = ["--cards", "200", "--merchants", "100", *FROM_FIRST_DAY]
        run.start(source, 1_000)
        run.stream(source, ["--num-transactions", "2000", "--rate", "400"], None)
        health = health_after(port, 3000)
        run.settle()
        run.stop()
        figures = run.tally.figures()
        assert_log_names_no_card(stack.folder / "job.log", stack.settings)
        sent = sent_to(stack.settings)
        alerts = alert_ids(stack.settings)
        here = ("--config", str(stack.settings_file))
        parity = fraud("parity", "--archive", *here, json_file=tmp_path / "parity.json")
        new_query = (*here, "--from", stack.settings.job.query, "--set", "job.query=next")
        backfilled = fraud("state", "backfill", *new_query, json_file=tmp_path / "backfilled.json")
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"] == len(sent) == 3000
    assert set(run.tally.alerted_of) == set(sent)
    assert alerts == Counter(subject.key for subject, alerted in run.tally.alerted_of.items() if alerted)
    assert parity["transactions"] == backfilled["transactions"] == 3000
    assert parity["compared"] == 3000 * len(SHIPPED.columns)
    assert (parity["mismatched"], parity["unmatched_transactions"]) == (0, 0)
    assert 0 < backfilled["card"]["keys"] <= 200
    assert_metrics(health, figures["decided"], sum(alerts.values()), stack.settings)


def assert_metrics(health: Health, decided: int, alerts: int, settings: Settings) -> None:
    """Everything that an operator watches was measured."""
    assert health.ready
    assert health.lag_ms.keys() >= {f"{settings.streams.transactions}/shardId-{n:012d}" for n in range(2)}
    assert health.total("fraud_input_records_total") >= decided
    assert health.total("fraud_transactions_decided_total") == health.total("fraud_scored_total") == decided
    assert health.total("fraud_alerts_put_total") == health.total("fraud_event_to_alert_seconds_count") == alerts
    assert health.total("fraud_event_to_decision_seconds_count") == decided
    assert health.total("fraud_source_lag_milliseconds") >= 0
    assert health.samples['fraud_trigger_seconds_count{phase="addBatch"}'] > 0
    assert {f'fraud_sink_retries_total{{sink="{sink}"}}' for sink in ("s3", "dynamodb")} <= health.samples.keys()
    assert health.total("fraud_state_memory_bytes") > 0
    assert health.total("fraud_state_memory_bytes") > 0


@pytest.mark.long
@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"{HANDBOOK} is absent")
def test_a_recorded_file_is_replayed_with_every_transaction_exactly_once(tmp_path: Path) -> None:
    figures_file = tmp_path / "figures.json"
    arguments = ["--replay", str(HANDBOOK), "--mapping", "handbook", "--num-transactions", "5000"]
    arguments += ["--console-port", str(free_port())]
    figures = fraud("demo", *arguments, json_file=figures_file)
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"] == 5000
