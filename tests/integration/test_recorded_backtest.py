"""A mapping that `fraud inspect` wrote serves backtest, training and evaluation of the same file."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from adapters.policy.source import policy_files, read_bundle
from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import RecordingReader
from cli.main import build_app
from fraud.backtest.machine import columns_read
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE
from fraud.settings import Aws, Settings
from operations.recorded_history import Decided, archive_recording
from producer.data_generator import in_batches
from producer.source import recorded_stream
from tests.support.recordings import mapping_of

FIRST = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
DAYS, A_DAY = 60, 50
DELAY_DAYS = 7


def row(number: int) -> tuple[str, dt.datetime, str, bool]:
    """Id, time, card and fraud of a transaction: every fifth is fraud; the last row repeats an id."""
    time = FIRST + dt.timedelta(days=number // A_DAY, minutes=number % A_DAY)
    return f"{min(number, DAYS * A_DAY - 2):05d}", time, f"c{number % 40 if number < 2_998 else 0}", number % 5 == 0


ROWS = [row(number) for number in range(DAYS * A_DAY)]
KEPT, LAST = ROWS[:-1], ROWS[-2][1]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = (
        f"{name};{time:%d.%m.%Y %H:%M};{card};s{int(name) % 7};" + ("900,00;EUR;Yes" if fraud else "12,50;EUR;No")
        for name, time, card, fraud in ROWS
    )
    file = tmp_path_factory.mktemp("recording") / "export.txt"
    file.write_text("\n".join(["Payment ID;created_at;card_id;merchant;amount;currency;is_fraud", *lines]))
    return file


@pytest.fixture(scope="module")
def mapping(recording: Path) -> Path:
    written = recording.with_name("mapping.yaml")
    fraud("inspect", str(recording), "--write", str(written))
    return written


def fraud(*arguments: str) -> str:
    result = CliRunner().invoke(build_app(), [*arguments, "--set", "log.level=error"])
    if isinstance(result.exception, MisconfiguredError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def backtest(tmp_path: Path, recording: Path, mapping: Path, *more: str) -> tuple[dict[str, Any], str]:
    figures = tmp_path / "figures.json"
    given = ("--data", str(recording), "--mapping", str(mapping), "--json", str(figures))
    return json.loads(figures.read_text()) if (output := fraud("backtest", *given, *more)) else {}, output


def test_a_backtest_decides_a_recording_and_knows_what_its_labels_say(
    recording: Path, mapping: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "new.yaml"
    rules.write_text(
        "rules: [{id: large, description: large, when: amount_minor > 50000, outcome: review, reason: LARGE, "
        "text: large, state: draft}]"
    )

    report, output = backtest(tmp_path, recording, mapping, "--rules", str(rules))

    mature = [fraud for _, time, _, fraud in KEPT if time <= LAST - dt.timedelta(days=DELAY_DAYS)]
    known = sum(mature)
    assert report["decisions"] == len(KEPT)
    assert "1 repeat an id of their card" in output
    assert report["variants"]["live"]["mature"] == len(mature)
    assert report["known_frauds"] == known
    assert report["recorded_by_live_version"] == {"decisions": len(KEPT), "differing": 0}
    assert report["variants"]["candidate"]["caught"] == known
    assert next(rule for rule in report["rules"] if rule["rule"] == "large")["fired"] == sum(
        fraud for *_, fraud in KEPT
    )


def test_the_days_to_look_back_and_the_delay_of_labels_can_be_given(
    recording: Path, mapping: Path, tmp_path: Path
) -> None:
    report, _ = backtest(
        tmp_path, recording, mapping, "--days", "10", "--label-delay-days", "0", "--maturity-days", "0"
    )

    recent = [fraud for _, time, _, fraud in KEPT if time >= LAST - dt.timedelta(days=10)]
    assert report["decisions"] == report["variants"]["live"]["mature"] == len(recent)
    assert report["known_frauds"] == sum(recent)


def test_training_and_evaluation_read_the_same_mapping(recording: Path, mapping: Path, tmp_path: Path) -> None:
    given = ("--data", str(recording), "--mapping", str(mapping), "--label-delay-days", "0")
    fraud("train", *given, "--trials", "0", "--out", str(tmp_path / "model"), "--train-until", "2025-02-20")
    output = fraud("evaluate", *given, "--model", str(tmp_path / "model"), "--draws", "0", "--since", "2025-02-10")
    assert "transactions from 2025-02-10 on" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "x.csv"), "--mapping: --data needs one"),
        (("--data", "x.csv", "--archive", "y"), "--data, --archive: give one of them"),
        (("--data", "nowhere.csv", "--mapping", "handbook"), "nowhere.csv: no such file"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"^{message}"):
        fraud("backtest", *arguments)


def test_a_recording_is_decided_alike_in_parts_of_any_size(recording: Path, tmp_path: Path) -> None:
    fields = fields_of(CATALOGUE)
    policy = compile_policy(read_bundle(policy_files("config/policy.yaml", Aws())), fields)
    columns = columns_read(policy, policy)
    own = {"transaction_id": "Payment ID", "event_time": "created_at", "card_token": "card_id"}
    own |= {"customer_id": "card_id", "merchant_id": "merchant", "amount": "amount"}
    document = {"columns": own, "time": {"format": "%d.%m.%Y %H:%M"}, "money": {"decimal": ","}}
    mapping = mapping_of(tmp_path, document | {"label": {"column": "is_fraud", "delay_days": 6.5}})

    def archived(rows: int) -> list[pl.DataFrame]:
        reader = RecordingReader(recording, load_mapping(str(mapping)), "EUR")
        stream = in_batches(recorded_stream(reader), rows)
        folder = tmp_path / str(rows)
        parts = ((part.transactions, part.labels) for part in stream)
        decided = archive_recording(parts, folder, policy, RulesOnly(), Settings(), columns)
        assert decided == Decided(len(KEPT), 1)
        return [
            pl.read_parquet(folder / kind / "*.parquet").drop("sequence_number") for kind in ("decisions", "labels")
        ]

    for whole, cut in zip(archived(50_000), archived(333), strict=True):
        assert_frame_equal(whole, cut)
