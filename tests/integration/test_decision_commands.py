"""The commands around decisions, run as a user runs them, over the shipped policy and the real catalogue."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from adapters.policy.source import policy_files, read_bundle
from cli.main import build_app
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE, FEATURE_FIELDS
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Aws
from tests.support.decision_archives import days_of_refusals, write_archive
from tests.support.recordings import read_recording

ROOT = Path(__file__).parents[2]
SCHEMA = pa.schema([*TRANSACTION_SCHEMA, *FEATURE_FIELDS])
DAYS = 60


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """See `days_of_refusals`."""
    policy = compile_policy(read_bundle(policy_files(str(ROOT / "config/policy.yaml"), Aws())), fields_of(CATALOGUE))
    write_archive(tmp_path / "archive", *days_of_refusals(policy, DAYS))
    return tmp_path / "archive"


def fraud(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(
        build_app(), [*arguments, "--set", "log.level=error"] if "import-afd" not in arguments else list(arguments)
    )
    if isinstance(result.exception, MisconfiguredError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def new_rules(tmp_path: Path, **fields: Any) -> str:
    rule = {
        "id": "declines-24h-lower",
        "description": "fewer declines are enough",
        "when": "card_declines_24h >= 5",
        "outcome": "review",
        "reason": "REPEATED_DECLINES",
        "text": "refused {card_declines_24h} times in 24 hours",
        "state": "draft",
    } | fields
    file = tmp_path / "new.yaml"
    file.write_text(yaml.safe_dump({"rules": [rule]}))
    return str(file)


def test_backtest_says_what_new_rules_would_have_done(archive: Path, tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"

    output = fraud(
        "backtest", "--rules", new_rules(tmp_path), "--archive", str(archive), "--days", "30",
        "--json", str(figures), "--html", str(page), "--maturity-days", "5",
    )  # fmt: skip

    report = json.loads(figures.read_text())
    live, candidate = report["variants"]["live"], report["variants"]["candidate"]
    assert report["recorded_by_live_version"]["differing"] == 0
    assert (live["alerts"], candidate["alerts"]) == (0, 30)  # one a day
    assert candidate["caught"] + candidate["good_alerted"] == 26  # those of at least 5 days
    assert candidate["good_customers"] == candidate["good_alerted"]
    assert [row["rule"] for row in report["rules"] if row["fired"]] == ["declines-24h-lower"]
    assert report["samples"]["newly alerted, fraud"][0]["reasons"] == ["refused 6 times in 24 hours"]
    assert "declines-24h-lower" in output
    assert "refused 6 times in 24 hours" in page.read_text()


def test_backtest_chooses_thresholds_for_a_budget(archive: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    costs = tmp_path / "costs.yaml"
    costs.write_text("review_minor: 100\ngood_decline_minor: 1000000\n")

    fraud(
        "backtest", "--archive", str(archive), "--days", "60", "--reviews-per-day", "2", "--costs", str(costs),
        "--json", str(figures), "--html", str(tmp_path / "report.html"), "--write", str(tmp_path / "chosen"),
    )  # fmt: skip

    files = policy_files(str(tmp_path / "chosen" / "policy.yaml"), Aws())
    written = compile_policy(read_bundle(files), fields_of(CATALOGUE))
    assert written.review_at[-1] == 0.04
    live = {rule.rule.id for rule in written.rules if rule.rule.state == "live"}
    budget = json.loads(figures.read_text())["budget"]
    assert budget["thresholds"]["default"] == {"review": 0.04, "decline": None}
    assert budget["reviews_per_day"] == pytest.approx(1, abs=0.1)
    assert live == {rule["rule"] for rule in budget["rules"] if rule["live"]}
    assert "Rules and thresholds for 2 reviews a day" in (tmp_path / "report.html").read_text()


def test_backtest_chooses_thresholds_by_costs_alone(archive: Path, tmp_path: Path) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"

    output = fraud(
        "backtest", "--archive", str(archive), "--days", "60", "--reviews-per-day", "inf", "--json", str(figures),
        "--html", str(page),
    )  # fmt: skip

    assert json.loads(figures.read_text())["budget"]["reviews_per_day_budget"] is None
    assert "Rules and thresholds that save most at these costs" in page.read_text()
    for part in ("thresholds at these costs: ", "budget, reviews a day", "shadow live"):
        assert part in output


def test_backtest_looks_back_from_a_given_time(archive: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    fraud(
        "backtest", "--archive", str(archive), "--days", "10", "--as-of", "2026-02-01T00:00:00Z",
        "--json", str(figures), "--maturity-days", "0",
    )  # fmt: skip

    report = json.loads(figures.read_text())
    assert report["last_event"].startswith("2026-01-31")
    assert report["decisions"] == 100
    assert report["known_frauds"] == 4  # of the frauds on even days 22 to 31 January, those labelled two days later


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archive", "nowhere"], "nowhere: no decisions there"),
        (["--as-of", "yesterday"], "--as-of: not a time: 'yesterday'"),
        (["--as-of", "2026-02-01T00:00:00"], "--as-of: write the offset"),
        (["--as-of", "2020-02-01T00:00:00Z"], "--days: no decisions in the 30 days before 2020-02-01"),
        (["--costs", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--rules", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--rules", "a", "--policy", "b"], "--rules, --policy: give one of them"),
    ],
)
def test_backtest_names_what_is_wrong(archive: Path, arguments: list[str], message: str) -> None:
    given = arguments if "--archive" in arguments else ["--archive", str(archive), *arguments]

    with pytest.raises(MisconfiguredError) as caught:
        fraud("backtest", *given)

    assert str(caught.value).startswith(message)


def test_backtest_of_a_bad_rule_names_its_place(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="rule declines-24h-lower: when: column 1: unknown field nothing"):
        fraud("backtest", "--archive", str(archive), "--rules", new_rules(tmp_path, when="nothing > 1"))


def test_policy_check_passes_the_shipped_policy_and_lists_all_faults_of_a_bad_one(tmp_path: Path) -> None:
    bad = tmp_path / "policy.yaml"
    bad.write_text(
        yaml.safe_dump({"thresholds": {}, "segments": [{"name": "a", "when": "mc = 1"}, {"name": "b", "when": "1"}]})
    )

    assert "no faults" in fraud("policy", "check", str(ROOT / "config/policy.yaml"))
    output = fraud("policy", "check", str(bad), code=2)

    assert output.splitlines() == [
        "segment a: when: column 1: unknown field mc; did you mean mcc?",
        "segment b: when: column 1: is a number, not a condition; compare it with something",
    ]


def test_policy_check_names_rules_on_what_the_job_does_not_measure() -> None:
    shipped = str(ROOT / "config/policy.yaml")
    output = fraud("policy", "check", shipped)
    assert "features of bin are null, since job.entities has none: bin-cards-10m, " in output
    every = fraud("policy", "check", shipped, "--set", "job.entities=[card, merchant, device, bin]")
    assert "job.entities" not in every


def test_policy_show_names_rules_lists_and_segments() -> None:
    output = fraud("policy", "show", str(ROOT / "config/policy.yaml"))

    for part in ("impossible-travel", "online-large", "high-risk-mcc", "default"):
        assert part in output


def test_import_writes_a_policy_that_checks(tmp_path: Path) -> None:
    exported = ROOT / "tests/fixtures/fraud_detector"

    output = fraud("import-afd", str(exported), "--out", str(tmp_path))
    again = fraud(
        "import-afd", str(exported), "--out", str(tmp_path / "again"), "--mapping", str(tmp_path / "mapping.yaml")
    )

    assert "lost: label disputed" in output
    assert "no faults" in fraud("policy", "check", str(tmp_path / "policy.yaml"))
    assert (tmp_path / "report.md").read_text().count("**lost**") == output.count("lost: ")
    assert again.splitlines()[:-1] == output.splitlines()[:-1]


def test_stored_events_are_read_by_the_imported_mapping(tmp_path: Path) -> None:
    fraud("import-afd", str(ROOT / "tests/fixtures/fraud_detector"), "--out", str(tmp_path))
    file = tmp_path / "recording-card-purchase.yaml"
    recording = yaml.safe_load(file.read_text())
    recording["columns"] |= {"card_token": "ENTITY_ID"}
    recording["constants"] |= {
        "merchant_id": "shop",
        "merchant_country": "DE",
        "currency": "EUR",
        "entry_mode": "manual",
    }
    file.write_text(yaml.safe_dump(recording))
    events = tmp_path / "events.csv"
    events.write_text(
        "EVENT_ID,EVENT_TIMESTAMP,EVENT_LABEL,ENTITY_TYPE,ENTITY_ID,order_price,ip,card_bin,channel,category_code,"
        "billing_country,device\n"
        "e-2,2026-01-02T10:00:00Z,fraud,customer,c-1,19.99,10.0.0.1,411111,ecommerce,7995,DE,d-1\n"
        "e-1,2026-01-01T10:00:00Z,legit,customer,c-1,5,10.0.0.1,411111,ecommerce,5411,DE,\n"
    )

    (stretch,) = read_recording(events, file)

    rows = stretch.transactions.to_pylist()
    assert [(row["transaction_id"], row["amount_minor"], row["mcc"], row["device_id"]) for row in rows] == [
        ("e-1", 500, "5411", None),
        ("e-2", 1999, "7995", "d-1"),
    ]
    assert rows[0]["event_time"] == dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)
    assert stretch.is_fraud.to_pylist() == [False, True]


def test_import_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="holds 0 files get-detector-version"):
        fraud("import-afd", str(tmp_path), "--out", str(tmp_path / "out"))
