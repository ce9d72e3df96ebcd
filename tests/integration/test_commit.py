"""A partition that is committed again, after whatever happened to the first attempt, has the same effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.alerts import AlertTable
from adapters.archive import Archive
from fraud import decode
from fraud.archive_layout import ArchiveKind
from fraud.features.offline import FeaturePath
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Model, Policy, Settings
from processor.decode_stage import decode_records
from processor.sink.assemble import Assembled
from processor.sink.commit import PartitionCommitter
from tests.support.records import NOON, stream_records, transaction, wire
from tests.support.stand_ins import provisioned


def write_policy(file: Path, limit_minor: int) -> Policy:
    """A policy that asks for review above an amount."""
    rule = {
        "id": "large",
        "description": "A large amount.",
        "when": f"amount_minor > {limit_minor}",
        "outcome": "review",
        "severity": 10,
        "reason": "LARGE",
        "text": "a large amount",
        "owner": "tests",
    }
    file.write_text(yaml.safe_dump({"thresholds": {}, "rules": [rule]}))
    return Policy(path=str(file))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as settings:
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


def partition(card: str) -> Assembled:
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
    return Assembled(FeaturePath().run(transactions), None, None)


def stored_outcomes(settings: Settings) -> list[list[str]]:
    return [table["outcome"].to_pylist() for table in Archive(settings).tables(ArchiveKind.DECISIONS)]


def test_a_second_attempt_stores_nothing_new(settings: Settings) -> None:
    committer = PartitionCommitter(settings)
    first = committer.commit(1, 0, partition("card-a"))
    again = committer.commit(1, 0, partition("card-a"))
    assert first.outcomes == again.outcomes == {"approve": 1, "review": 2}
    assert first.rules["fired"] == again.rules["fired"] == {"large": 2}
    assert (first.alerts_put, again.alerts_put) == (2, 0)
    assert stored_outcomes(settings) == [["approve", "review", "review"]]
    assert len(AlertTable(settings).of_card("card-a").items) == 2


def test_an_attempt_after_a_change_of_policy_takes_the_stored_decisions(settings: Settings, tmp_path: Path) -> None:
    first = PartitionCommitter(settings)
    first._alerts.put_new = _dies  # type: ignore[method-assign, assignment]
    with pytest.raises(ConnectionError):
        first.commit(1, 0, partition("card-b"))
    assert AlertTable(settings).of_card("card-b").items == []
    write_policy(tmp_path / "policy.yaml", 2000)
    committed = PartitionCommitter(settings).commit(1, 0, partition("card-b"))
    assert committed.alerts_put == 2
    assert len(AlertTable(settings).of_card("card-b").items) == 2


def test_all_partitions_of_a_batch_are_decided_by_the_pinned_policy(settings: Settings, tmp_path: Path) -> None:
    PartitionCommitter(settings).commit(1, 0, partition("card-c"))
    write_policy(tmp_path / "policy.yaml", 2000)
    later = PartitionCommitter(settings)
    assert later.commit(1, 1, partition("card-d")).outcomes == {"approve": 1, "review": 2}
    assert later.commit(2, 0, partition("card-e")).outcomes == {"approve": 2, "review": 1}


def _dies(_: object) -> list[bool]:
    raise ConnectionError("killed between the archive and the alerts")
