"""Each hostile input is what its row says: accepted by the intake, refused by it, taken for a policy or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.archive.layout import ArchiveKind
from adapters.policy.source import open_policy, policy_files, read_bundle, write_bundle
from embedded.chaos.hostile import POLICIES, RECORDS, HostilePolicy, HostileRecord
from embedded.chaos.intruder import compare_hostile
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.rules.fields import fields_of
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE
from fraud.records.intake import Intake
from fraud.settings import Aws, Settings
from tests.support.records import NOON, stream_records, transaction

SHIPPED = Path(__file__).parents[3] / "config" / "policy.yaml"
FIELDS: dict[str, Any] = transaction(
    transaction_id="hostile-1", card_token="hostile-1", event_time=NOON.isoformat(), sent_at=NOON.isoformat()
)  # fmt: skip


def test_there_are_many_with_names_of_their_own() -> None:
    names = [row.name for row in RECORDS]
    assert len(set(names)) == len(names) >= 50
    assert len({row.name for row in POLICIES}) == len(POLICIES) >= 10


@pytest.mark.parametrize("row", RECORDS, ids=lambda row: row.name)
def test_a_record_becomes_what_its_row_says(row: HostileRecord) -> None:
    stream = Settings().streams.labels if row.is_label else Settings().streams.transactions
    read = Intake.of(Settings()).read(stream_records([row.make(dict(FIELDS))], stream=stream))
    kinds = {
        ArchiveKind.DECISIONS: read.transactions,
        ArchiveKind.LABELS: read.labels,
        ArchiveKind.DEAD_LETTERS: read.dead_letters,
    }
    assert [kind for kind, records in kinds.items() if records is not None and records.num_rows] == [row.ends_in]


@pytest.mark.parametrize("row", POLICIES, ids=lambda row: row.name)
def test_an_edit_of_the_policy_comes_into_force_or_not(row: HostilePolicy, tmp_path: Path) -> None:
    copy = tmp_path / ROOT
    write_bundle(policy_files(str(copy), Aws()), PolicyBundle({}), read_bundle(policy_files(str(SHIPPED), Aws())))

    def version() -> str:
        return open_policy(policy_files(str(copy), Aws()), "EUR", fields_of(CATALOGUE)).current.version

    before = version()
    for name, data in row.edit({ROOT: copy.read_text()}).items():
        (tmp_path / name).unlink() if data is None else (tmp_path / name).write_bytes(data)
    if row.accepted:
        assert version() != before
    else:
        with pytest.raises(MisconfiguredError):
            version()


def test_what_became_of_them_is_compared_with_what_they_are() -> None:
    accepted = next(row for row in RECORDS if row.ends_in is ArchiveKind.DECISIONS)
    refused = next(row for row in RECORDS if row.ends_in is ArchiveKind.DEAD_LETTERS)
    sent = {b"good": accepted, b"bad": refused}
    records = pa.Table.from_batches([stream_records([b"good", b"bad", b"other"])])
    none = records.slice(0, 0)

    def compared(decided: pa.Table, dead: pa.Table, policy: str = "p1") -> tuple[int, int, int, list[str]]:
        decisions = decided.append_column("policy_version", pa.array([policy] * decided.num_rows, pa.string()))
        stored = {ArchiveKind.DECISIONS: decisions, ArchiveKind.DEAD_LETTERS: dead, ArchiveKind.LABELS: none}
        found = compare_hostile(sent, {"p1"}, records, stored)
        return found.expected, found.lost, found.different, found.examples

    good, bad = records.slice(0, 1), records.slice(1, 1)
    assert compared(good, bad) == (2, 0, 0, [])
    assert compared(good, none) == (2, 1, 0, [f"{refused.name}: lost"])
    wrong = f"{refused.name}: in decisions, expected in dead-letters"
    assert compared(records.slice(0, 2), none) == (2, 0, 1, [wrong])
    assert compared(good, bad, "p2")[2:] == (1, ["policy p2 decided, and no edit made it"])
