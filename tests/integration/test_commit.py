"""A partition that is committed again, after whatever happened to the first attempt, has the same effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from adapters.alerts.alert import Item
from adapters.alerts.receiver import AlertReceiver
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.pins import Pin, Pins
from adapters.policy.source import open_policy, policy_files
from adapters.program.telemetry import Telemetry
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.living import Change, Given, Lists, next_change
from fraud.decision.rules.fields import fields_of
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE
from fraud.path import FeaturePath
from fraud.records import Records, decode
from fraud.records.intake import decode_records
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Model, Settings
from processor.health import Pulse
from processor.progress import ProgressObserver, record_committed
from processor.run import Run
from processor.scoring import open_scoring
from processor.sink.commit import PartitionCommitter
from processor.sink.compose import open_committer
from processor.sink.report import BatchReports
from tests.support.alert_lines import AlertLines
from tests.support.emulators import provisioned
from tests.support.former_alerts import former
from tests.support.policies import write_policy
from tests.support.records import NOON, stream_records, transaction, wire


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture
def settings(endpoint: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    return endpoint.model_copy(
        update={
            "archive": ArchiveSettings(prefix=f"{request.node.name}/"),
            "policy": write_policy(tmp_path / "policy.yaml", 1000),
            "model": Model(artifact=""),
        }
    )


def opened(settings: Settings) -> PartitionCommitter:
    """The committer of a worker of a first run."""
    return open_committer(Run(settings=settings))


def partition(card: str) -> Records:
    """Three transactions of a card: 5.00, 15.00 and 25.00; of these two are above the policy's limit."""
    records = stream_records(
        [
            wire(
                transaction(
                    transaction_id=f"t-{n}",
                    card_token=card,
                    amount_minor=500 + 1000 * n,
                    event_time=NOON + dt.timedelta(seconds=n),
                )
            )
            for n in range(3)
        ]
    )
    transactions, _ = decode_records(decode.TRANSACTIONS, records)
    return Records(FeaturePath().featured(transactions))


def stored_outcomes(settings: Settings) -> list[list[str]]:
    return [
        table["outcome"].to_pylist()
        for table in open_archive(settings.archive, settings.aws).tables(ArchiveKind.DECISIONS)
    ]


def test_a_second_attempt_stores_nothing_new(settings: Settings) -> None:
    committer = opened(settings)
    first = committer.commit(1, 0, partition("card-a"))
    again = committer.commit(1, 0, partition("card-a"))
    assert first.outcomes == again.outcomes == {"approve": 1, "review": 2}
    assert first.rules["fired"] == again.rules["fired"] == {"large": 2}
    assert (first.alerts_put["dynamodb"], again.alerts_put["dynamodb"]) == (2, 0)
    assert stored_outcomes(settings) == [["approve", "review", "review"]]
    assert len(AlertTable(settings.alerts, settings.aws).of_card("card-a").items) == 2


def test_an_attempt_after_a_change_of_policy_takes_the_stored_decisions(settings: Settings, tmp_path: Path) -> None:
    first = committer(settings, [Dying()])
    with pytest.raises(ConnectionError):
        first.commit(1, 0, partition("card-b"))
    assert AlertTable(settings.alerts, settings.aws).of_card("card-b").items == []
    write_policy(tmp_path / "policy.yaml", 2000)
    committed = opened(settings).commit(1, 0, partition("card-b"))
    assert committed.alerts_put["dynamodb"] == 2
    assert len(AlertTable(settings.alerts, settings.aws).of_card("card-b").items) == 2


def test_a_batch_that_an_earlier_version_alerted_on_is_finished_and_not_alerted_on_again(settings: Settings) -> None:
    table = AlertTable(settings.alerts, settings.aws)
    opened(settings).commit(1, 0, partition("card-u"))
    for item in table.of_card("card-u").items:
        table.delete(item["alert_id"])
        table.put_new([former(item)])
    again = opened(settings).commit(1, 0, partition("card-u"))
    assert (again.outcomes, again.alerts_put["dynamodb"]) == ({"approve": 1, "review": 2}, 0)
    assert len(table.of_card("card-u").items) == 2


def test_all_partitions_of_a_batch_are_decided_by_the_pinned_policy(settings: Settings, tmp_path: Path) -> None:
    opened(settings).commit(1, 0, partition("card-c"))
    write_policy(tmp_path / "policy.yaml", 2000)
    later = opened(settings)
    assert later.commit(1, 1, partition("card-d")).outcomes == {"approve": 1, "review": 2}
    assert later.commit(2, 0, partition("card-e")).outcomes == {"approve": 2, "review": 1}


def block(settings: Settings, card: str) -> str:
    """Puts a card on a block list, as another program does; gives the version of the lists."""
    store = policy_files(settings.policy.path, settings.aws).lists
    assert store is not None

    def make(before: Lists) -> Change:
        given = [Given(card)]
        return next_change(before, "stolen", ListKind.BLOCK, "card", by="ann", at_ms=1, why="stolen", put=given)

    return store.append(make).version


def versions(settings: Settings) -> list[str]:
    tables = open_archive(settings.archive, settings.aws).tables(ArchiveKind.DECISIONS)
    return [version for table in tables for version in set(table["policy_version"].to_pylist())]


def test_a_card_that_is_listed_is_declined_from_the_next_batch_on(settings: Settings) -> None:
    worker = opened(settings)
    assert worker.commit(1, 0, partition("card-l")).outcomes == {"approve": 1, "review": 2}
    version = block(settings, "card-l")
    assert worker.commit(2, 0, partition("card-l")).outcomes == {"decline": 3}
    (before, after) = versions(settings)
    assert after == f"{before}+{version}"


def test_all_attempts_and_partitions_of_a_batch_see_the_lists_that_it_was_begun_with(settings: Settings) -> None:
    other = opened(settings)
    block(settings, "card-m")
    opened(settings).commit(1, 0, partition("card-m"))
    block(settings, "card-n")
    new = opened(settings)
    assert new.commit(1, 1, partition("card-n")).outcomes == {"approve": 1, "review": 2}
    assert other.commit(1, 2, partition("card-m")).outcomes == {"decline": 3}
    assert len(set(versions(settings))) == 1
    assert new.commit(2, 0, partition("card-n")).outcomes == {"decline": 3}


def test_a_pinned_batch_is_finished_with_its_lists_though_the_policy_changed_too(
    settings: Settings, tmp_path: Path
) -> None:
    block(settings, "card-o")
    opened(settings).commit(1, 0, partition("card-o"))
    write_policy(tmp_path / "policy.yaml", 2000)
    block(settings, "card-p")
    later = opened(settings)
    assert later.commit(1, 1, partition("card-o")).outcomes == {"decline": 3}
    assert later.commit(1, 2, partition("card-p")).outcomes == {"approve": 1, "review": 2}


@pytest.mark.parametrize(
    "hostile", ["thresholds: {review: 2026-02-30}", "thresholds: {}\nrule_files: 5", "[" * 100_000]
)
def test_a_worker_that_starts_while_the_policy_is_at_fault_goes_on_with_the_last_one(
    settings: Settings, tmp_path: Path, hostile: str
) -> None:
    settings = settings.model_copy(update={"job": settings.job.model_copy(update={"query": f"q{len(hostile)}"})})
    opened(settings).commit(1, 0, partition("card-v"))
    (tmp_path / "policy.yaml").write_text(hostile)
    with structlog.testing.capture_logs() as logs:
        assert opened(settings).commit(2, 0, partition("card-v")).outcomes == {
            "approve": 1,
            "review": 2,
        }
    assert [entry["event"] for entry in logs] == ["policy refused, the old version stays"]


def test_a_first_start_stops_where_the_policy_is_at_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("thresholds: {review: 2026-02-30}")
    new = settings.model_copy(update={"job": settings.job.model_copy(update={"query": "new"})})
    with pytest.raises(MisconfiguredError, match="2026-02-30: day is out of range for month"):
        opened(new)


def test_a_pending_batch_whose_policy_this_version_refuses_is_finished(settings: Settings) -> None:
    archive = open_archive(settings.archive, settings.aws)
    earlier = PolicyBundle({ROOT: "thresholds: {}\nthresholds: {}"})
    Pins(archive, settings.job.query).pin(7, Pin(earlier.version, None), earlier, frozenset({""}))
    with structlog.testing.capture_logs() as logs:
        assert opened(settings).commit(7, 0, partition("card-w")).outcomes == {
            "approve": 1,
            "review": 2,
        }
    assert [(entry["event"], entry["pinned"]) for entry in logs] == [("policy_is_not_the_pinned", earlier.version)]


def test_every_receiver_gets_each_alert_once_though_the_one_behind_it_fails(settings: Settings, tmp_path: Path) -> None:
    table, lines = AlertTable(settings.alerts, settings.aws), AlertLines(tmp_path)
    with pytest.raises(ConnectionError):
        committer(settings, [table, lines, Dying()]).commit(1, 0, partition("card-f"))
    again = committer(settings, [table, lines]).commit(1, 0, partition("card-f"))
    assert again.alerts_put == {"dynamodb": 0, "lines": 0}
    assert again.retries == {"s3": 0, "dynamodb": 0, "lines": 0}
    written = [item["transaction_id"] for item in lines.read()]
    assert written == ["t-1", "t-2"]
    assert {item["transaction_id"] for item in table.of_card("card-f").items} == set(written)


def test_a_receiver_that_was_away_gets_what_others_have_already(settings: Settings, tmp_path: Path) -> None:
    table, lines = AlertTable(settings.alerts, settings.aws), AlertLines(tmp_path)
    with pytest.raises(ConnectionError):
        committer(settings, [table, Dying(), lines]).commit(1, 0, partition("card-g"))
    assert lines.read() == []
    again = committer(settings, [table, lines]).commit(1, 0, partition("card-g"))
    assert again.alerts_put == {"dynamodb": 0, "lines": 2}
    assert sum(again.alert.counts) == 2


def test_what_receivers_took_is_counted_by_their_names(settings: Settings, tmp_path: Path) -> None:
    telemetry, lines = Telemetry(), AlertLines(tmp_path)
    lines.require_writable()
    ProgressObserver(telemetry, Pulse(10.0), BatchReports(tmp_path), [lines.name])
    record_committed(telemetry, committer(settings, [lines]).commit(1, 0, partition("card-h")))
    series = telemetry.exposition().decode().splitlines()
    assert 'fraud_alerts_put_total{receiver="lines"} 2.0' in series
    assert 'fraud_sink_retries_total{sink="lines"} 0.0' in series


def committer(settings: Settings, receivers: list[AlertReceiver]) -> PartitionCommitter:
    """A committer with receivers of the test's own."""
    return PartitionCommitter(
        Run(settings=settings),
        open_archive(settings.archive, settings.aws),
        receivers,
        open_scoring(settings),
        open_policy(policy_files(settings.policy.path, settings.aws), "EUR", fields_of(CATALOGUE)),
    )


class Dying(AlertLines):
    """A receiver that is killed before it takes anything."""

    name = "dying"

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))

    def put_new(self, items: Sequence[Item]) -> list[bool]:
        raise ConnectionError("killed between the archive and the alerts")
