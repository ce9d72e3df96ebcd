"""The producer as its user meets it: the command line, its output and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from producer.main import main
from tests.support.calendar import FROM_FIRST_DAY
from tests.support.programs import ROOT, Done, run_here
from tests.support.scripted_kinesis import SHARD, ScriptedKinesis

PROGRAM = [sys.executable, "-m", "producer.main", *FROM_FIRST_DAY]
NOBODY = "http://127.0.0.1:9"


def produce(*arguments: str) -> Done:
    return run_here(main, *FROM_FIRST_DAY, *arguments)


def at(url: str) -> list[str]:
    return ["--set", f"aws.endpoint_url={url}"]


def test_a_hundred_transactions_in_batches_of_ten(tmp_path: Path) -> None:
    figures, truth = tmp_path / "figures.json", tmp_path / "truth.jsonl"
    with ScriptedKinesis([{3: "ProvisionedThroughputExceededException"}]) as kinesis:
        done = produce(
            *("--num-transactions", "100", "--batch-size", "10", "--json", str(figures)),
            *("--ground-truth", str(truth), *at(kinesis.url)),
        )
    assert done.returncode == 0, done.stderr
    sent = [json.loads(taken.data) for taken in kinesis.taken if taken.stream == "fraud-transactions"]
    assert len({row["transaction_id"] for row in sent}) == len(sent) == 100
    assert all(taken.key == json.loads(taken.data)["card_token"] for taken in kinesis.taken)
    assert max(kinesis.calls) <= 10
    report: dict[str, Any] = json.loads(figures.read_text())
    assert (report["sent"], report["retried"], report["throttled"], report["stopped_early"]) == (100, 1, 1, False)
    assert report["throttled_by_shard"] == {"transactions": {SHARD: 1}}
    true = [json.loads(line)["transaction_id"] for line in truth.read_text().splitlines()]
    assert sorted(true) == sorted(row["transaction_id"] for row in sent)
    assert "100 sent" in done.stdout
    assert f"1 retried, 1 throttled (transactions {SHARD} 1)" in done.stdout


def test_the_same_seed_gives_the_same_transactions_whatever_the_batch_size(tmp_path: Path) -> None:
    def transactions(size: int) -> list[dict[str, Any]]:
        folder = tmp_path / str(size)
        done = produce(
            *("--to", "jsonl", "--output", str(folder), "--num-transactions", "3000", "--cards", "200"),
            *("--batch-size", str(size)),
        )
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in (folder / "transactions.jsonl").read_bytes().splitlines()]
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    assert transactions(7) == transactions(1000)


def test_days_of_history_are_written_as_parquet_with_labels_and_truth(tmp_path: Path) -> None:
    done = produce(
        *("--to", "parquet", "--output", str(tmp_path), "--days", "20"),
        *("--cards", "400", "--merchants", "200"),
    )
    assert done.returncode == 0, done.stderr
    transactions, labels, truth = (
        pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("transactions", "labels", "truth")
    )
    assert transactions["event_time"].dt.date().n_unique() == 20
    assert transactions["transaction_id"].to_list() == truth["transaction_id"].to_list()
    assert set(labels["transaction_id"]) <= set(transactions["transaction_id"])


def test_standard_output_carries_nothing_but_transactions() -> None:
    done = produce("--to", "stdout", "--num-transactions", "5")
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 5
    assert "5 sent" in done.stderr


def test_a_reader_that_has_enough_ends_an_endless_run_quietly() -> None:
    command = [*PROGRAM, "--to", "stdout", "--num-transactions", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert "Traceback" not in run.stderr.read()
        assert run.wait(timeout=180) == 0


def test_a_recording_is_replayed(tmp_path: Path) -> None:
    assert produce("--to", "parquet", "--output", str(tmp_path), "--num-transactions", "50").returncode == 0
    file = str(tmp_path / "transactions.parquet")
    done = produce("--to", "stdout", "--replay", file, "--mapping", "generated", "--num-transactions", "30")
    assert done.returncode == 0, done.stderr
    replayed = [json.loads(line)["transaction_id"] for line in done.stdout.splitlines()]
    assert replayed == pl.read_parquet(file)["transaction_id"].head(30).to_list()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_an_interrupted_run_sends_what_it_took_up_and_says_how_far_it_came(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    figures = tmp_path / "figures.json"
    with ScriptedKinesis() as kinesis:
        command = [*PROGRAM, "--num-transactions", "0", "--rate", "500", "--json", str(figures), *at(kinesis.url)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
            assert run.stderr is not None
            run.stderr.readline()  # the first line of progress
            os.kill(run.pid, number)
            said, _ = run.communicate(timeout=300)
    assert run.returncode == code
    assert said.startswith("stopped early: ")
    report = json.loads(figures.read_text())
    assert report["stopped_early"]
    assert report["sent"] == sum(taken.stream == "fraud-transactions" for taken in kinesis.taken) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (at(NOBODY), "stream fraud-transactions: cannot be written"),
        (["--mapping", "handbook"], "--mapping: only a --replay uses one"),
        (["--replay", "there-is-none.parquet"], "--mapping: a replay needs one"),
        (["--replay", "there-is-none.parquet", "--mapping", "handbook", "--dry-run"], "no such file"),
        (["--to", "parquet"], "--output: --to parquet needs a folder"),
        (["--to", "stdout", "--use-aws"], "contradicts --use-aws"),
        (["--live", "--rate", "5"], "--live: paces by the clock"),
        (["--burst", "5"], "--burst: needs a --rate"),
        (["--campaigns", "none-such", "--dry-run"], "available: default, published"),
        (["--set", "streams.transaction=x"], "no such setting"),
    ],
)
def test_what_cannot_work_stops_at_once_with_one_line(arguments: list[str], words: str) -> None:
    done = produce(*arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.parametrize("arguments", [["--num-transactions", "-1"], ["--rate", "0"], ["--start-date", "soon"]])
def test_bad_flags_are_refused_with_exit_code_2(arguments: list[str]) -> None:
    done = produce(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_bursts_keep_their_size() -> None:
    with ScriptedKinesis() as kinesis:
        done = produce(
            "--num-transactions", "60", "--rate", "100", "--burst", "20", "--cards", "5000", *at(kinesis.url)
        )
    assert done.returncode == 0, done.stderr
    assert len(kinesis.taken) == 60
    assert max(kinesis.calls) <= 20


def test_a_report_is_drawn_and_measured(tmp_path: Path) -> None:
    done = produce("--report", str(tmp_path), "--days", "12", "--cards", "800", "--merchants", "200")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "report.json").read_text())
    assert figures["separability"]
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert "| campaign |" in (tmp_path / "report.md").read_text()
