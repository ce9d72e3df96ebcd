"""A published split of a recording is one command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from adapters.recordings.mapping import load_mapping
from cli.evaluate import PUBLISHED_SPLITS, Protocol
from cli.main import build_app

DAYS, A_DAY = 80, 200
UNTIL = "2018-05-31"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Transactions of the handbook's form, whose frauds are those of high amounts."""
    rng = np.random.default_rng(5)
    count = DAYS * A_DAY
    fraud = rng.random(count) < 0.05
    amount = np.where(fraud, rng.uniform(150, 300, count), rng.uniform(1, 160, count))
    file = tmp_path_factory.mktemp("recording") / "recording.parquet"
    times = pl.Series(np.arange(count) * (86_400_000 // A_DAY) + 1_522_540_800_000).cast(pl.Datetime("ms"))
    pl.DataFrame(
        {
            "TRANSACTION_ID": np.arange(count),
            "TX_DATETIME": times,
            "CUSTOMER_ID": rng.integers(0, 100, count),
            "TERMINAL_ID": rng.integers(0, 50, count),
            "TX_AMOUNT": amount.round(2),
            "TX_FRAUD": fraud.astype(np.int64),
        }
    ).write_parquet(file)
    return file


def fraud(*arguments: str) -> str:
    result = CliRunner().invoke(build_app(), [*arguments, "--set", "log.level=error"])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_a_split_by_date_is_one_command_that_names_its_protocol(recording: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    output = fraud(
        *("evaluate", "--data", str(recording), "--mapping", "handbook", "--train-until", UNTIL),
        *("--label-delay-days", "0", "--draws", "0", "--json", str(figures)),
    )
    (protocol,) = (line for line in output.splitlines() if line.startswith("protocol: "))
    assert f"trained on what lies before {UNTIL}" in protocol
    assert f"transactions from {UNTIL} 00:00 on, labels known after 0 days" in protocol
    assert "features warmed by all that lies before" in protocol
    measured = json.loads(figures.read_text())
    assert measured["data"]["transactions"] == (DAYS - 60) * A_DAY
    assert measured["headline"]["average_precision"]["value"] > 0.6


def test_a_published_split_is_a_mapping_a_day_and_a_label_delay(recording: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    output = fraud(
        *("evaluate", "--protocol", "sparkov", "--data", str(recording), "--mapping", "handbook"),
        *("--train-until", UNTIL, "--draws", "0", "--json", str(figures)),
    )
    assert f"transactions from {UNTIL} 00:00 on, labels known after 0 days" in output  # the delay is the protocol's
    assert json.loads(figures.read_text())["data"]["transactions"] == (DAYS - 60) * A_DAY


@pytest.mark.parametrize("protocol", ["sparkov", "synccfd"])
def test_a_published_split_needs_its_data_and_has_a_mapping(protocol: str) -> None:
    result = CliRunner().invoke(build_app(), ["evaluate", "--protocol", protocol])
    assert f"--protocol {protocol}: needs --data" in str(result.exception)
    split = PUBLISHED_SPLITS[Protocol(protocol)]
    assert load_mapping(split.mapping).label is not None


def test_training_until_a_day_sees_nothing_of_what_follows(recording: Path, tmp_path: Path) -> None:
    fraud(
        *("train", "--data", str(recording), "--mapping", "handbook", "--train-until", UNTIL),
        *("--label-delay-days", "0", "--out", str(tmp_path / "model"), "--json", str(tmp_path / "figures.json")),
    )
    assert json.loads((tmp_path / "figures.json").read_text())["held_out_until"] < UNTIL


@pytest.mark.parametrize("arguments", [("--train-until", UNTIL), ("--test-from", UNTIL), ("--train-until", "June")])
def test_what_does_not_go_together_is_refused(arguments: tuple[str, str]) -> None:
    result = CliRunner().invoke(build_app(), ["evaluate", *arguments])
    assert result.exit_code == 2 or "--train-until" in str(result.exception)
