"""A cardholder is erased from alerts, archive and Delta tables, and nobody else is."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from adapters.alerts.alert import alert_item
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.delta import TABLES, OpenTable, storage_options
from adapters.archive.layout import ArchiveKind, policy_key
from adapters.archive.offset_notes import OffsetNotes
from adapters.archive.stored_records import StoredRecords
from adapters.aws.clients import aws_client
from cli.main import build_app
from fraud.decision.policy.bundle import PolicyBundle
from fraud.records import Records, decode
from fraud.records.fate import places, without
from fraud.records.intake import decode_records
from fraud.settings import Settings
from operations.erasure import Erasure
from operations.lake import Lake
from tests.support.emulators import provisioned
from tests.support.records import KEPT_DAYS, NOON, VERDICT, stream_records, transaction, wire

NOON_MS = int(NOON.timestamp() * 1000)
GONE, KEPT = "tok_gone", "tok_kept"
LATER = NOON + dt.timedelta(hours=2)


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Two decisions, a dead letter and an alert of each of two cards, folded into Delta tables; one hour still open."""
    with provisioned() as located:
        archive, alerts = open_archive(located.archive, located.aws), AlertTable(located.alerts, located.aws)
        records = [wire(transaction(card_token=card)) for card in (GONE, KEPT, GONE, KEPT)]
        decoded, _ = decode_records(decode.TRANSACTIONS, stream_records(records))
        refused = [wire(transaction(card_token=card, currency="euro")) for card in (GONE, KEPT)]
        _, dead_letters = decode_records(decode.TRANSACTIONS, stream_records(refused))
        decisions = pa.Table.from_batches([decoded])
        archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 1, 0, NOON_MS), decisions)
        archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 9, 0, NOON_MS + 7_200_000), decisions)
        dead_letters_key = ArchiveKind.DEAD_LETTERS.key("fraud", 1, 0, NOON_MS)
        archive.put_table_once(dead_letters_key, pa.Table.from_batches([dead_letters]))
        raised = [transaction(card_token=card, transaction_id=card) | VERDICT for card in (GONE, KEPT)]
        alerts.put_new([alert_item(each, {}, KEPT_DAYS) for each in raised])
        for kind in ArchiveKind:
            lake(located).maintain(kind)
        yield located


def lake(settings: Settings) -> Lake:
    return Lake(settings.archive, settings.aws, LATER, dt.timedelta(minutes=30))


def erasure(settings: Settings) -> Erasure:
    alerts, archive = AlertTable(settings.alerts, settings.aws), open_archive(settings.archive, settings.aws)
    return Erasure(alerts, archive, lake(settings), lambda _line: None)


def cards(settings: Settings) -> list[str]:
    """The cards in closed objects and in the table of decisions."""
    archive = open_archive(settings.archive, settings.aws)
    keys = [key for found in lake(settings).closed_hours(ArchiveKind.DECISIONS).values() for key in found]
    held = [archive.read_table(key, ["card_token"])["card_token"] for key in keys]
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
    assert [len(AlertTable(settings.alerts, settings.aws).of_card(card).items) for card in (GONE, KEPT)] == [0, 1]
    dead_letters = lake(settings).rows(ArchiveKind.DEAD_LETTERS, ["data"])["data"].to_pylist()
    for table in open_archive(settings.archive, settings.aws).tables(ArchiveKind.DEAD_LETTERS):
        dead_letters += table["data"].to_pylist()
    assert [KEPT.encode() in data for data in dead_letters] == [True, True]

    again = erasure(settings).erase(GONE, dry_run=False)
    assert (again.alerts, sum(again.rows.values()), again.objects) == (0, 0, 0)


def test_only_objects_that_a_table_names_or_does_not_hold_yet_are_read_and_no_row_is_left(settings: Settings) -> None:
    archive, rng = open_archive(settings.archive, settings.aws), random.Random(7)
    bearing: dict[bool, int] = {False: 0, True: 0}
    for number in range(16):
        later = number >= 12  # what comes after the tables were made
        if number == 12:
            lake(settings).maintain(ArchiveKind.DECISIONS)
        chosen = [rng.choice((GONE, KEPT, "tok_other", "tok_gone2")) for _ in range(3)]
        records = stream_records([wire(transaction(card_token=card)) for card in chosen], shard=f"shard-{number}")
        decoded, _ = decode_records(decode.TRANSACTIONS, records)
        archive.put_table_once(
            ArchiveKind.DECISIONS.key("fraud", 100 + number, 0, NOON_MS), pa.Table.from_batches([decoded])
        )
        bearing[later] += GONE in chosen
    assert 0 < bearing[False] < 12, "or this would show nothing"
    assert 0 < bearing[True] < 4
    done = erasure(settings).erase(GONE, dry_run=False)
    # the fixture's object of decisions and its dead letters, those that the table names, and all that it does not hold
    assert done.read == 2 + bearing[False] + 4
    assert done.objects == 2 + bearing[False] + bearing[True]
    lake(settings).maintain(ArchiveKind.DECISIONS)
    assert GONE not in cards(settings)
    assert cards(settings).count("tok_gone2") > 0
    assert erasure(settings).erase(GONE, dry_run=True).objects == 0


def folded_later(settings: Settings, batch: int, shard: str) -> str:
    """The key of an object with a decision of each card that no table holds yet."""
    records = stream_records([wire(transaction(card_token=card)) for card in (GONE, KEPT)], shard=shard)
    decoded, _ = decode_records(decode.TRANSACTIONS, records)
    key = ArchiveKind.DECISIONS.key("fraud", batch, 0, NOON_MS)
    open_archive(settings.archive, settings.aws).put_table_once(key, pa.Table.from_batches([decoded]))
    return key


def test_what_maintenance_has_read_before_an_object_was_rewritten_is_not_folded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasure(settings).erase(GONE, dry_run=False)  # so that no row of the table has to be deleted below
    folded_later(settings, 30, "shard-30")
    append, erased = OpenTable.append, list[bool]()

    def after_an_erasure(self: OpenTable, rows: pa.Table, application: str, version: int) -> None:
        if not erased:
            erased.append(True)
            assert GONE in rows["card_token"].to_pylist(), "or this would show nothing"
            erasure(settings).erase(GONE, dry_run=False)
        append(self, rows, application, version)

    monkeypatch.setattr(OpenTable, "append", after_an_erasure)
    assert lake(settings).maintain(ArchiveKind.DECISIONS).sound
    assert cards(settings) == [KEPT] * 6


def test_what_is_folded_while_an_erasure_looks_for_its_objects_is_not_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = folded_later(settings, 30, "shard-30")
    asked = Lake.objects

    def before_maintenance(self: Lake, kind: ArchiveKind, condition: str = "true") -> set[str]:
        found = asked(self, kind, condition)
        lake(settings).maintain(kind)
        return found

    monkeypatch.setattr(Lake, "objects", before_maintenance)
    erasure(settings).erase(GONE, dry_run=False)
    assert open_archive(settings.archive, settings.aws).read_stored(key)["card_token"].to_pylist() == [KEPT]
    assert GONE not in cards(settings)


def test_an_object_that_comes_after_all_were_listed_is_erased_or_stays_whole_with_its_table(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, listed, keys = open_archive(settings.archive, settings.aws), Lake.closed_hours, list[str]()
    rewritten = Lake.read_objects_again

    def comes(kind: ArchiveKind, batch: int) -> None:
        if kind is ArchiveKind.DECISIONS and len(keys) == batch - 30:
            keys.append(folded_later(settings, batch, f"shard-{batch}"))
            lake(settings).maintain(kind)

    def after_listing(self: Lake, kind: ArchiveKind, since: str = "", *, expired: bool = False) -> Any:
        found = listed(self, kind, since, expired=expired)
        comes(kind, 30)
        return found

    def after_rewriting(self: Lake, kind: ArchiveKind) -> None:
        rewritten(self, kind)
        comes(kind, 31)

    monkeypatch.setattr(Lake, "closed_hours", after_listing)
    monkeypatch.setattr(Lake, "read_objects_again", after_rewriting)
    erasure(settings).erase(GONE, dry_run=False)
    assert [archive.read_stored(key)["card_token"].to_pylist() for key in keys] == [[KEPT], [GONE, KEPT]]
    assert lake(settings).objects(ArchiveKind.DECISIONS, f"card_token = '{GONE}'") == {keys[1]}
    again = Lake(settings.archive, settings.aws, LATER, dt.timedelta(minutes=30), everything=True)
    assert again.maintain(ArchiveKind.DECISIONS).sound


def test_what_is_no_longer_kept_is_erased_while_its_objects_are_there_and_does_not_count_as_open(
    settings: Settings,
) -> None:
    week = settings.model_copy(update={"archive": settings.archive.model_copy(update={"retention_days": 2})})
    later = Lake(week.archive, week.aws, NOON + dt.timedelta(days=4), dt.timedelta())
    archive, alerts = open_archive(week.archive, week.aws), AlertTable(week.alerts, week.aws)
    assert later.maintain(ArchiveKind.DECISIONS).expired == 4
    done = Erasure(alerts, archive, later, lambda _line: None).erase(GONE, dry_run=False)
    assert (done.rows["decisions"], done.open_objects) == (4, 0)
    held = [card for table in archive.tables(ArchiveKind.DECISIONS) for card in table["card_token"].to_pylist()]
    assert held == [KEPT] * 4


def test_a_repeated_batch_knows_what_was_erased_of_it(settings: Settings) -> None:
    archive, key = open_archive(settings.archive, settings.aws), ArchiveKind.DEAD_LETTERS.key("fraud", 30, 0, NOON_MS)
    data = [wire(transaction(card_token=card, currency="euro")) for card in (GONE, KEPT)]
    _, refused = decode_records(decode.TRANSACTIONS, stream_records(data, shard="shard-30"))
    archive.put_records_once(key, pa.Table.from_batches([refused]), "program")
    again, held = Records(dead_letters=refused), archive.names(key).ranges

    def left() -> list[bytes]:
        """What a repeat stores, as if nothing was noted and as it is."""
        earlier = StoredRecords(archive, {key: held})
        stored = [places(table) for table in earlier.among(again).values()]
        fresh = [without(again, taken).dead_letters for taken in (stored, [*stored, earlier.erased(again)])]
        return [card for part in fresh if part is not None for card in part["data"].to_pylist()]

    assert left() == []
    erasure(settings).erase(GONE, dry_run=False)
    assert left() == data[:1], "or this would show nothing, or it is stored again"


def test_of_settled_dates_only_objects_that_a_table_names_are_read(settings: Settings) -> None:
    archive = open_archive(settings.archive, settings.aws)
    weeks_later = LATER + dt.timedelta(days=20)

    def expire(key: str) -> None:
        place = settings.archive.prefix + key
        aws_client("s3", settings.aws).delete_object(Bucket=settings.archive.bucket, Key=place)

    expire(ArchiveKind.DECISIONS.key("fraud", 9, 0, NOON_MS + 7_200_000))  # it has the same records as the first
    for kind in ArchiveKind:
        Lake(settings.archive, settings.aws, weeks_later, dt.timedelta()).maintain(kind)
    records, _ = decode_records(decode.TRANSACTIONS, stream_records([wire(transaction(card_token=GONE))], shard="new"))
    new = pa.Table.from_batches([records])
    archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 20, 0, NOON_MS), new)  # as no job writes
    archive.put_table_once(ArchiveKind.DECISIONS.key("fraud", 21, 0, NOON_MS + 19 * 86_400_000), new)
    expire(ArchiveKind.DEAD_LETTERS.key("fraud", 1, 0, NOON_MS))

    lake = Lake(settings.archive, settings.aws, weeks_later, dt.timedelta())
    alerts = AlertTable(settings.alerts, settings.aws)
    done = Erasure(alerts, archive, lake, lambda _line: None).erase(GONE, dry_run=False)
    # the object that the table names, and what came since; of dead letters the table has the row alone
    assert (done.rows, done.objects, done.open_objects) == ({"decisions": 3, "labels": 0, "dead-letters": 0}, 2, 0)
    assert lake.objects(ArchiveKind.DECISIONS, f"card_token = '{GONE}'") == set()


def test_no_log_of_a_table_names_the_card_afterwards(settings: Settings) -> None:
    archive = open_archive(settings.archive, settings.aws)
    url = f"s3://{settings.archive.bucket}/{settings.archive.prefix}{TABLES}decisions"
    DeltaTable(url, storage_options=storage_options(settings.archive, settings.aws)).create_checkpoint()
    log = list(archive.keys(f"{TABLES}decisions/_delta_log/"))
    assert any(key.endswith(".checkpoint.parquet") for key in log)
    assert any(GONE.encode() in (archive.get(key) or b"") for key in log), "or this would show nothing"
    erasure(settings).erase(GONE, dry_run=False)
    for key in archive.keys(f"{TABLES}decisions/_delta_log/"):
        data = archive.get(key) or b""
        text = str(pq.read_table(io.BytesIO(data)).to_pylist()) if key.endswith(".parquet") else data.decode()
        assert GONE not in text, key
    assert cards(settings) == [KEPT] * 4
    assert lake(settings).maintain(ArchiveKind.DECISIONS).sound


def test_a_refused_record_is_found_by_its_token_as_a_whole_however_it_is_written(settings: Settings) -> None:
    archive = open_archive(settings.archive, settings.aws)
    plain = wire(transaction(card_token="HERE", currency="euro"))
    names = [b"tok_1", b"tok_19", b"my_tok_1", b"tok_1.5", b"\\u0074ok_1", b"tok_\\u0031", b"tok_\\u00319"]
    data = [plain.replace(b"HERE", name) for name in names] + [b"broken tok_1, and more", b"broken tok_19"]
    _, refused = decode_records(decode.TRANSACTIONS, stream_records(data, shard="shard-9"))
    key = ArchiveKind.DEAD_LETTERS.key("fraud", 2, 0, NOON_MS)
    archive.put_table_once(key, pa.Table.from_batches([refused]))
    lake(settings).maintain(ArchiveKind.DEAD_LETTERS)
    assert erasure(settings).erase("tok_1", dry_run=False).rows["dead-letters"] == 4
    left = [data[at] for at in (1, 2, 3, 6, 8)]
    assert archive.read_stored(key)["data"].to_pylist() == left
    table = lake(settings).rows(ArchiveKind.DEAD_LETTERS, ["shard", "data"]).to_pylist()
    assert sorted(row["data"] for row in table if row["shard"] == "shard-9") == sorted(left)


def test_lists_of_stored_policies_no_longer_name_the_card(settings: Settings) -> None:
    archive = open_archive(settings.archive, settings.aws)
    files = {
        "policy.yaml": "lists:\n  - {entries: [tok_1, 'tok_19']}\n",
        "lists/a.csv": "value,expires\ntok_1,\ntok_19,\n",
    }
    archive.put_new(policy_key("v1"), PolicyBundle(files).to_bytes())
    archive.put_new(policy_key("v2"), PolicyBundle({"policy.yaml": "x: tok_19"}).to_bytes())
    assert erasure(settings).erase("tok_1", dry_run=True).policies == 1
    assert erasure(settings).erase("tok_1", dry_run=False).policies == 1
    kept = PolicyBundle.from_bytes(archive.get(policy_key("v1")) or b"").files
    assert kept == {name: text.replace("tok_1,", "erased,") for name, text in files.items()}
    assert erasure(settings).erase("tok_1", dry_run=False).policies == 0


def test_what_was_read_still_adds_up_with_what_is_kept(settings: Settings) -> None:
    notes = OffsetNotes(open_archive(settings.archive, settings.aws), "fraud", lambda: NOON_MS)
    for batches, read in ((1, 0), (2, 6)):  # batch 1 read four transactions and two bad records
        notes.leave(batches, {"fraud-transactions/shard-0": read})
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
    assert (
        result.output.splitlines()[-1]
        == "erased: 1 alerts, 4 decisions, 0 labels, 1 dead-letters, 0 stored policies, 0 objects of living lists, "
        "0 kept events"
    )
    assert json.loads(file.read_text())["rows"]["decisions"] == 4
