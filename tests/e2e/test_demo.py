"""The real job on the local stack: each transaction is decided once, as training sees it, each alert readable once."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.archive.decision_archive import open_decision_archive
from adapters.aws.clients import aws_client
from adapters.policy.source import policy_files, read_bundle, write_bundle
from adapters.program.declared_features import read_declared
from embedded.emulator import free_port
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.decision.key import Subject
from fraud.decision.policy.amend import amend
from fraud.decision.policy.bundle import PolicyBundle
from fraud.features import SHIPPED, catalogue_of
from fraud.settings import Aws, Job, Policy, Settings
from fraud.settings import Health as HealthSettings
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


FEATURES = """
entities:
  - {name: customer_merchant, columns: [customer_id, merchant_id], label: customer at this merchant,
     velocity: {windows: 7d 30d}}
features:
  - {entity: card, name: count, aggregate: count, windows: 5m}
"""
"""A pair, and a window of a shipped entity, that nobody ships."""

RULES = """
rules:
  - id: regular
    description: a customer who comes again and again
    when: customer_merchant_count_7d >= 4 AND card_count_5m >= 0
    outcome: review
    reason: REGULAR_CUSTOMER
    severity: 99
    text: "{customer_merchant_count_7d:counted} in a week; {customer_merchant_sum_7d:words}"
"""


def declaring(folder: Path, port: int) -> Settings:
    """Settings of a deployment with features of its own, and a rule on them in its policy."""
    features, policy = folder / "features.yaml", str(folder / "policy" / "policy.yaml")
    features.write_text(FEATURES)
    (folder / "policy").mkdir()
    shipped = read_bundle(policy_files(str(ROOT / "config" / "policy.yaml"), Aws()))
    write_bundle(policy_files(policy, Aws()), PolicyBundle({}), amend(shipped, RULES))
    job, health = Job(features=read_declared(features)), HealthSettings(port=port)
    return Settings(health=health, job=job, policy=Policy(path=policy))


def decided(settings: Settings) -> list[dict[str, Any]]:
    """What the archive has of each transaction: its rules, its reasons and the declared features."""
    catalogue = catalogue_of(settings)
    columns = ["transaction_id", "customer_id", "merchant_id", "rules", "reasons", "reason_codes"]
    columns += [field.name for field in catalogue.columns if field not in SHIPPED.columns]
    archive = open_decision_archive(None, settings.archive, settings.aws, catalogue)
    ever = (dt.datetime.fromtimestamp(seconds, dt.UTC) for seconds in (0, 2**32))
    return [row for part in archive.decisions(columns, *ever) for row in part.to_pylist()]


def test_what_is_on_the_stream_is_decided_once_with_the_features_that_training_computes(tmp_path: Path) -> None:
    port = free_port()
    with LocalStack(declaring(tmp_path, port), tmp_path / "run") as stack:
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
        rows, alert_items = decided(stack.settings), items(stack.settings)
        busiest, visits = Counter((row["customer_id"], row["merchant_id"]) for row in rows).most_common(1)[0]
        commands = {
            "parity": ("parity", "--archive"),
            "backfilled": ("state", "backfill", "--from", stack.settings.job.query, "--set", "job.query=next"),
            "backtested": ("backtest", "--maturity-days", "0"),
            "checked": ("policy", "check"),
            "remembered": ("state", "show", "customer_merchant", *busiest),
        }
        with ThreadPoolExecutor(2) as pool:
            asked = {
                name: pool.submit(fraud, *words, *("--config", str(stack.settings_file)), json_file=tmp_path / name)
                for name, words in commands.items()
            }
            found = {name: answer.result() for name, answer in asked.items()}
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"] == len(sent) == len(rows) == 3000
    assert set(run.tally.alerted_of) == set(sent)
    assert alerts == Counter(subject.key for subject, alerted in run.tally.alerted_of.items() if alerted)
    parity, backfilled = found["parity"], found["backfilled"]
    assert parity["transactions"] == backfilled["transactions"] == 3000
    assert parity["compared"] == 3000 * len(catalogue_of(stack.settings).columns)
    assert (parity["mismatched"], parity["unmatched_transactions"]) == (0, 0)
    assert 0 < backfilled["card"]["keys"] <= 200
    assert backfilled["customer_merchant"]["keys"] == len({(row["customer_id"], row["merchant_id"]) for row in rows})
    assert len(found["remembered"]["events"]) == visits
    assert_metrics(health, figures["decided"], sum(alerts.values()), stack.settings)
    assert_declared(rows, alert_items, found)


def assert_declared(rows: list[dict[str, Any]], alerts: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """The rule on declared features found what they say, and says it in words, in the archive and in the table."""
    regular = [row for row in rows if (row["customer_merchant_count_7d"] or 0) >= 4]
    assert 0 < len(regular) < len(rows)
    assert [row for row in rows if "regular" in row["rules"]] == regular
    assert all(row["exact_customer_merchant"] and row["card_count_5m"] is not None for row in rows)
    stored = [row["reasons"][row["rules"].index("regular")] for row in regular]
    wanted = [
        f"{row['customer_merchant_count_7d']:.0f} payments in a week; "
        f"EUR {row['customer_merchant_sum_7d']:,.2f} spent with this customer at this merchant in 7 days"
        for row in regular
    ]
    assert [text.partition("; usually")[0] for text in stored] == [
        text.replace("EUR 0.00", "nothing") for text in wanted
    ]
    rule = {"S": "regular"}
    found_by = [(item["rules"]["L"], item["reasons"]["L"]) for item in alerts if rule in item["rules"]["L"]]
    assert sorted(reasons[rules.index(rule)]["S"] for rules, reasons in found_by) == sorted(stored)
    assert found["checked"]["faults"] == []
    assert "customer_merchant" not in found["checked"]["unmeasured"]
    assert found["backtested"]["recorded_by_live_version"] == {"decisions": len(rows), "differing": 0}
    fired = {row["rule"]: row["fired"] for row in found["backtested"]["rules"]}
    assert fired["regular"] == len(regular)


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
