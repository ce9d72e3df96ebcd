"""The real job on the local stack: each transaction is decided once, as training sees it, each alert readable once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.aws import aws_client
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.features.parity import PARITY_COLUMNS
from fraud.settings import Settings

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")
HANDBOOK = ROOT.parent / "shared" / "data" / "handbook" / "transactions.parquet"

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def stream_ids(settings: Settings) -> Counter[str]:
    """Transaction ids on the stream, read with the plain AWS calls of a foreign reader."""
    kinesis = aws_client("kinesis", settings.aws)
    name = settings.streams.transactions
    found: Counter[str] = Counter()
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        place = kinesis.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        while True:
            answer = kinesis.get_records(ShardIterator=place, Limit=10_000)
            found.update(json.loads(record["Data"])["transaction_id"] for record in answer["Records"])
            if not answer["Records"] and not answer["MillisBehindLatest"]:
                break
            place = answer["NextShardIterator"]
    return found


def alert_ids(settings: Settings) -> Counter[str]:
    """Transaction ids in the alert table."""
    pages = aws_client("dynamodb", settings.aws).get_paginator("scan").paginate(TableName=settings.alerts.table)
    return Counter(item["transaction_id"]["S"] for page in pages for item in page["Items"])


def fraud(*arguments: str, json_file: Path) -> dict[str, Any]:
    """What a command that must succeed writes for `--json`."""
    command = [str(FRAUD), *arguments, "--json", str(json_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(json_file.read_text())
    return figures


def test_what_is_on_the_stream_is_decided_once_with_the_features_that_training_computes(tmp_path: Path) -> None:
    with LocalStack(Settings(), tmp_path / "run") as stack:
        run = Run(stack, lambda *_: None)
        run.start(["--cards", "200", "--merchants", "100"], 1_000)
        run.stream(["--cards", "200", "--merchants", "100"], ["--num-transactions", "2000", "--rate", "400"], None)
        run.stop()
        figures = run.tally.figures()
        sent = stream_ids(stack.settings)
        alerts = alert_ids(stack.settings)
        here = ("--config", str(stack.settings_file))
        parity = fraud("parity", "--archive", *here, json_file=tmp_path / "parity.json")
        new_query = (*here, "--from", stack.settings.job.query, "--set", "job.query=next")
        primed = fraud("state", "prime", *new_query, json_file=tmp_path / "primed.json")
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"] == len(sent) == 3000
    assert set(run.tally.alerted_of) == set(sent)
    assert alerts == Counter(known for known, alerted in run.tally.alerted_of.items() if alerted)
    assert parity["transactions"] == primed["transactions"] == 3000
    assert parity["compared"] == 3000 * len(PARITY_COLUMNS)
    assert (parity["mismatched"], parity["unmatched_transactions"]) == (0, 0)
    assert 0 < primed["card"]["keys"] <= 200


def test_ctrl_c_ends_the_demo_with_a_summary_and_leaves_no_process(tmp_path: Path) -> None:
    figures_file = tmp_path / "figures.json"
    command = [str(FRAUD), "demo", "--rate", "100", "--json", str(figures_file), "--set", "log.format=text"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0) as demo:
        psutil_demo = psutil.Process(demo.pid)
        for line in demo.stdout or ():
            if "streaming" in line:
                break
        children = psutil_demo.children(recursive=True)
        os.kill(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, rest
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    figures: dict[str, Any] = json.loads(figures_file.read_text())
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"]


@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"{HANDBOOK} is absent")
def test_a_recorded_file_is_replayed_with_every_transaction_exactly_once(tmp_path: Path) -> None:
    figures_file = tmp_path / "figures.json"
    arguments = ["--replay", str(HANDBOOK), "--mapping", "handbook", "--num-transactions", "5000"]
    done = subprocess.run(
        [str(FRAUD), "demo", *arguments, "--json", str(figures_file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(figures_file.read_text())
    assert figures["lost"] == figures["duplicated"] == 0
    assert figures["decided"] == figures["sent"] == 5000
