"""A cardholder is erased from alerts, archive and Delta tables, and nobody else is."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.erasure import Erasure
from adapters.lake import Lake
from adapters.offset_notes import leave_note
from cli.main import build_app
from fraud import decode
from fraud.alert import alert_item
from fraud.archive_layout import ArchiveKind
from fraud.offset_check import OffsetNote
from fraud.settings import Settings
from processor.decode_stage import decode_records
from tests.support.records import NOON, VERDICT, stream_records, transaction, wire
from tests.support.stand_ins import provisioned

NOON_MS = int(NOON.timestamp() * 1000)
GONE, KEPT = "tok_gone", "tok_kept"
LATER = NOON + dt.timedelta(hours=2)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Two decisions, a dead letter and an alert of each of two cards, folded into Delta tables; one hour still open."""
    with provisioned(tmp_path) as located:
        archive, alerts = Archive(located), AlertTable(located)
        records = [wire(transaction(card_token=card)) for card in (GONE, KEPT, GONE, KEPT)]
        decoded, _ = decode_records(decode.TRANSACTIONS, stream_records(records))
        refused = [wire(transaction(card_token=card, currency="euro")) for card in (GONE, KEPT)]
        _, letters = decode_records(decode.TRANSACTIONS, stream_records(refused))
        decisions = pa.Table.from_batches([decoded])
        archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 1, 0, NOON_MS), decisions)
        archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 9, 0, NOON_MS + 7_200_000), decisions)
        letters_key = ArchiveKind.DEAD_LETTERS.key("fraud", 1, 0, NOON_MS)
        archive.put_table_once(letters_key, pa.Table.from_batches([letters]))
        raised = [transaction(card_token=card, transaction_id=card) | VERDICT for card in (GONE, KEPT)]
        alerts.put_new([alert_item(each, {}, 30) for each in raised])
        for kind in ArchiveKind:
            lake(located).maintain(kind)
        yield located


def lake(settings: Settings) -> Lake:
    return Lake(settings, LATER, dt.timedelta(minutes=30))


def erasure(settings: Settings) -> Erasure:
    return Erasure(settings, LATER, dt.timedelta(minutes=30), lambda _line: None)


def cards(settings: Settings) -> list[str]:
    """The cards in closed objects and in the table of decisions."""
    archive = Archive(settings)
    keys = [key for found in lake(settings).closed_hours(ArchiveKind.DECISIONS).values() for key in found]
    held = [archive.read_table(key)["card_token"] for key in keys]
    held.append(lake(settings).rows(ArchiveKind.DECISIONS, ["card_token"])["card_token"])
    return [card for column in held for card in column.to_pylist()]


def test_what_would_be_erased_is_counted_and_left(settings: Settings) -> None:
    found = erasure(settings).erase(GONE, dry_run=True)
    assert (found.alerts, found.rows, found.objects, found.open_objects) == (
        1,
        {"decisions": 2, "labels": 0, "dead-letters": 1},
        2,
        1,
    )
    assert cards(settings).count(GONE) == 4


def test_a_card_is_gone_everywhere_and_the_others_stay(settings: Settings) -> None:
    done = erasure(settings).erase(GONE, dry_run=False)
    assert done.alerts == 1
    assert cards(settings) == [KEPT] * 4
    assert [len(AlertTable(settings).of_card(card).items) for card in (GONE, KEPT)] == [0, 1]
    letters = lake(settings).rows(ArchiveKind.DEAD_LETTERS, ["data"])["data"].to_pylist()
    for table in Archive(settings).tables(ArchiveKind.DEAD_LETTERS):
        letters += table["data"].to_pylist()
    assert [KEPT.encode() in data for data in letters] == [True, True]

    again = erasure(settings).erase(GONE, dry_run=False)
    assert (again.alerts, sum(again.rows.values()), again.objects) == (0, 0, 0)


def test_what_was_read_still_adds_up_with_what_is_kept(settings: Settings) -> None:
    for batches, read in ((1, 0), (2, 6)):  # batch 1 read four transactions and two bad records
        note = OffsetNote("fraud", batches, {"fraud-transactions/shard-0": read}, NOON_MS)
        leave_note(Archive(settings), note)
    for _ in range(2):
        erasure(settings).erase(GONE, dry_run=False)
        maintained = lake(settings)
        assert all(maintained.maintain(kind).sound for kind in ArchiveKind)
        (counted,) = maintained.verify_offsets()
        assert (counted.read, counted.missing, counted.surplus) == (6, 0, 0)


def test_the_command_erases_and_says_what(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "erased.json"
    where = ["--set", f"aws.endpoint_url={settings.aws.endpoint_url}", "--set", "log.level=error", "--json", str(file)]
    # By the clock of the command every hour is closed.
    result = CliRunner().invoke(build_app(), ["erase", GONE, *where])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "erased: 1 alerts, 4 decisions, 0 labels, 1 dead-letters"
    assert json.loads(file.read_text())["rows"]["decisions"] == 4
