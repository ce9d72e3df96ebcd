"""What commit 7d4d319 stored is read, or refused in one line with the way on: files that this commit itself wrote.

Two micro-batches of four payments, one label and a record that is no JSON; the rule asks for review above 10.00 EUR.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from adapters.alerts.alert import AlertUpdate, subject_of
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.pins import Pins
from adapters.aws.clients import aws_client
from cli.main import build_app
from fraud.entities import CARD
from fraud.errors import FatalError, MisconfiguredError
from fraud.features.state import EntityState
from fraud.path import Step
from fraud.settings import Job, Settings
from processor.checkpoint import Claim, refuse_changes
from processor.keyed_state.log import replay
from tests.support.emulators import provisioned

LEFT = Path(__file__).parents[1] / "fixtures" / "left_by_7d4d319"
JOB = Job(entities=("card", "merchant"), key_groups=3)

Located = tuple[Settings, str]


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Located]:
    """Settings, and the same as a file, of stores that hold what it left."""
    with provisioned() as base:
        settings = base.model_copy(update={"job": JOB})
        archive = open_archive(settings.archive, settings.aws)
        for file in (LEFT / "archive").rglob("*.*"):
            archive.put_new(file.relative_to(LEFT / "archive").as_posix(), file.read_bytes())
        dynamodb = aws_client("dynamodb", settings.aws)
        for item in json.loads((LEFT / "alerts.json").read_text()):
            dynamodb.put_item(TableName=settings.alerts.table, Item=item)
        file = tmp_path_factory.mktemp("settings") / "settings.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        yield settings, str(file)


def fraud(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    result = CliRunner().invoke(build_app(), [*arguments, "--set", "log.level=error"])
    assert result.exit_code in codes, result.output + repr(result.exception)
    return result.output


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("features", "FOLDER"), "8 transactions"),
        (("state", "backfill", "--from", "fraud", "--set", "job.query=next"), "transactions: 8"),
        (("maintain",), "decisions              8        2         8        0           0"),
        (("erase", "card-1", "--dry-run"), "4 alerts, 4 decisions, 1 labels"),
        (("dead-letters", "list"), "undecodable"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else None,
)
def test_its_archive_is_read(located: Located, tmp_path: Path, command: tuple[str, ...], says: str) -> None:
    named = [str(tmp_path / "out") if word == "FOLDER" else word for word in command]
    assert says in fraud(*named, "--config", located[1])


def test_parity_compares_all_of_its_decisions(located: Located, tmp_path: Path) -> None:
    """Values differ, since definitions have changed (docs/upgrade.md); no decision is left out."""
    report = tmp_path / "parity.json"
    fraud("parity", "--archive", "--config", located[1], "--json", str(report), codes=(0, 1))
    figures = json.loads(report.read_text())
    assert (figures["transactions"], figures["unmatched_transactions"]) == (8, 0)


def test_its_checkpoint_is_refused_with_the_way_on() -> None:
    claim = msgspec.json.decode((LEFT / "archive/checkpoints/fraud.json").read_bytes(), type=Claim)
    with pytest.raises(MisconfiguredError, match=r"^version of the state: .*4 or older.*fraud state backfill") as found:
        refuse_changes({"fraud": claim}, claim.checkpoint_id, Settings(job=JOB))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", sorted(file.name for file in (LEFT / "state").iterdir()))
def test_its_state_is_refused_with_the_way_on(name: str) -> None:
    with pytest.raises(FatalError, match="fraud state backfill") as found:
        replay([(LEFT / "state" / name).read_bytes()], Step(CARD, Settings()).fold, EntityState())
    assert "\n" not in str(found.value)


def test_its_pins_are_read(located: Located) -> None:
    pins = Pins(open_archive(located[0].archive, located[0].aws), "fraud")
    for batch in (0, 1):
        pin = pins.read(batch)
        assert pin is not None
        assert (pin.policy_version, pin.run) == ("72bd55ff4c68", "")


def test_its_alerts_are_listed_found_by_their_decision_and_changed(located: Located) -> None:
    settings, _ = located
    table = AlertTable(settings.alerts, settings.aws)
    alerts = [*table.all()]
    assert sorted(alert["transaction_id"] for alert in alerts) == ["t-0-1", "t-0-2", "t-0-3", "t-1-1", "t-1-2", "t-1-3"]
    assert all(alert["alert_id"] == f"{alert['card_token']}:{alert['transaction_id']}" for alert in alerts)
    (one,) = table.of_decisions([subject_of(alerts[0])])
    assert table.update(
        one["alert_id"], one["version"], AlertUpdate("confirmed_fraud", "ann", {"by": "ann"}, None, None)
    )
    (changed,) = table.of_decisions([subject_of(alerts[0])])
    assert changed["status"] == "confirmed_fraud"
