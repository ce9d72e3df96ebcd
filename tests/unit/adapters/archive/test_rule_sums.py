"""Sums of what rules found, against decisions and labels counted by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.archive.layout import ArchiveKind
from adapters.archive.rule_sums import DECISION_COLUMNS, LABEL_COLUMNS, RuleSums
from adapters.archive.tables import ARCHIVE_SCHEMAS
from tests.support.records import NOON

DAY = dt.timedelta(days=1)


def decisions(*rows: dict[str, Any]) -> pa.Table:
    """Decisions of one card; what a row does not say is empty."""
    schema = pa.schema([ARCHIVE_SCHEMAS[ArchiveKind.DECISIONS].field(name) for name in DECISION_COLUMNS])
    lists: dict[str, Any] = {name: [] for name in ("rules", "shadow_rules", "silenced_rules", "undefined_rules")}
    plain = lists | {"card_token": "card-1", "billing_amount_minor": 100, "outcome": "approve"}
    return pa.Table.from_pylist([plain | row for row in rows], schema=schema)


def labels(*rows: dict[str, Any]) -> pa.Table:
    """Labels of that card, in the order of their arrival."""
    schema = pa.schema([ARCHIVE_SCHEMAS[ArchiveKind.LABELS].field(name) for name in LABEL_COLUMNS])
    arrived = [
        {"arrival_ms": number, "stream": "labels", "shard_id": "0", "sequence_number": str(number), "sub_sequence": 0}
        for number in range(len(rows))
    ]
    plain = {"card_token": "card-1", "verdict": "fraud", "transaction_time_precision_ms": 1, "recorded_arrival": None}
    every = [dict.fromkeys(schema.names) | plain | place | row for place, row in zip(arrived, rows, strict=True)]
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in every], schema=schema)


def key(kind: ArchiveKind, number: int) -> str:
    return kind.key("fraud", number, 0, 1_768_478_400_000)


def take(sums: RuleSums, kind: ArchiveKind, number: int, table: pa.Table) -> bool:
    return sums.add(key(kind, number), table)


@pytest.fixture
def sums(tmp_path: Path) -> RuleSums:
    return RuleSums(tmp_path, 30)


def test_hits_are_counted_with_what_only_a_rule_found_and_what_it_shares(sums: RuleSums) -> None:
    rows = [
        {"transaction_id": "t1", "event_time": NOON, "rules": ["a"], "outcome": "review"},
        {"transaction_id": "t2", "event_time": NOON, "rules": ["a"], "shadow_rules": ["b"], "outcome": "review"},
        {"transaction_id": "t3", "event_time": NOON, "shadow_rules": ["b"], "undefined_rules": ["a"]},
        {"transaction_id": "t4", "event_time": NOON},
    ]
    assert take(sums, ArchiveKind.DECISIONS, 1, decisions(*rows))
    assert not take(sums, ArchiveKind.DECISIONS, 1, decisions(*rows))
    found = sums.figures(days=7, maturity_days=0)
    assert (found.decisions, found.mature) == (4, 4)
    a, b = found.rules["a"], found.rules["b"]
    assert (a["fired"], a["alone"], a["already_alerted"], a["undefined"]) == (2, 1, 2, 1)
    assert (b["fired"], b["alone"], b["already_alerted"]) == (2, 1, 1)
    assert (a["nearest_rule"], a["overlap"]) == ("b", 0.5)


@pytest.mark.parametrize("first", ["labels", "decisions"])
def test_a_label_counts_whether_it_is_read_before_or_after_its_decision(sums: RuleSums, first: str) -> None:
    row = {"transaction_id": "t1", "event_time": NOON, "rules": ["a"], "outcome": "review"}
    tables = {
        "decisions": (ArchiveKind.DECISIONS, 1, decisions(row, row | {"transaction_id": "t2"})),
        "labels": (ArchiveKind.LABELS, 1, labels({"transaction_id": "t1", "transaction_time": NOON})),
    }
    for name in sorted(tables, key=lambda name: name != first):
        take(sums, *tables[name])
    a = sums.figures(7, 0).rules["a"]
    assert (a["fraud"], a["fraud_minor"], a["precision"]) == (1, 100, 0.5)


def test_the_last_label_to_arrive_counts(sums: RuleSums) -> None:
    row = {"transaction_id": "t1", "event_time": NOON, "rules": ["a"]}
    take(sums, ArchiveKind.DECISIONS, 1, decisions(row))
    of = {"transaction_id": "t1", "transaction_time": NOON}
    take(sums, ArchiveKind.LABELS, 1, labels(of, of | {"verdict": "legitimate"}))
    assert sums.figures(7, 0).rules["a"]["fraud"] == 0
    take(sums, ArchiveKind.LABELS, 2, labels(of))
    assert sums.figures(7, 0).rules["a"]["fraud"] == 1


def test_a_label_of_some_seconds_finds_its_transaction_unless_there_are_two(sums: RuleSums) -> None:
    second = NOON.replace(microsecond=0)
    rows = [
        {"transaction_id": name, "event_time": second + dt.timedelta(milliseconds=ms), "rules": ["a"]}
        for name, ms in (("t1", 400), ("t2", 100), ("t2", 900))
    ]
    take(sums, ArchiveKind.DECISIONS, 1, decisions(*rows))
    of = {"transaction_time": second, "transaction_time_precision_ms": 1000}
    take(sums, ArchiveKind.LABELS, 1, labels(of | {"transaction_id": "t1"}, of | {"transaction_id": "t2"}))
    assert sums.figures(7, 0).rules["a"]["fraud"] == 1


def test_only_old_days_are_evaluated_and_what_is_too_old_is_forgotten(sums: RuleSums) -> None:
    for day in range(40):
        row = {"transaction_id": f"t{day}", "event_time": NOON + day * DAY, "rules": ["a"]}
        take(sums, ArchiveKind.DECISIONS, day, decisions(row))
    found = sums.figures(days=20, maturity_days=7)
    assert (found.decisions, found.rules["a"]["fired"]) == (20, 20)
    assert (found.mature, found.rules["a"]["mature"]) == (13 - 1, 12)  # days 20 to 39, of these whole ones up to 31
    sums.forget(key(ArchiveKind.DECISIONS, 5))
    assert sums.figures(400, 0).decisions == 31
    assert not sums.holds(key(ArchiveKind.DECISIONS, 4))
    assert sums.last_key("decisions/") == key(ArchiveKind.DECISIONS, 39)
    assert sums.last_key("labels/") is None


def test_a_new_process_goes_on_and_a_damaged_file_is_built_again(tmp_path: Path) -> None:
    row = {"transaction_id": "t1", "event_time": NOON, "rules": ["a"]}
    take(RuleSums(tmp_path, 30), ArchiveKind.DECISIONS, 1, decisions(row))
    again = RuleSums(tmp_path, 30)
    assert again.holds(key(ArchiveKind.DECISIONS, 1))
    assert again.figures(7, 0).decisions == 1
    again._database.close()
    (tmp_path / "rules.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"rules.db{suffix}").unlink(missing_ok=True)
    assert RuleSums(tmp_path, 30).figures(7, 0).decisions == 0
