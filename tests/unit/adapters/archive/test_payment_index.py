"""The index over the archive: what it finds, once, and what it forgets."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog

from adapters.archive.layout import ArchiveKind
from adapters.archive.payment_index import ARCHIVED, ArchiveRow, Held, Name, PaymentIndex
from fraud.decision.key import Subject
from operations.payment_follower import PaymentFollower
from tests.support.records import NOON, VERDICT, transaction

NOON_MS = int(NOON.timestamp() * 1000)


def decisions(*rows: dict[str, Any]) -> pa.Table:
    whole = [transaction() | VERDICT | row for row in rows]
    table = pa.table({name: [row.get(name) for row in whole] for name in ARCHIVED if name != "event_time"})
    times = pa.array([row["event_time"] for row in whole], pa.timestamp("ms", "UTC"))
    return table.append_column("event_time", times)


def subject(transaction_id: str, event_ms: int = NOON_MS, card_token: str = "card-1") -> Subject:
    return Subject(card_token, transaction_id, event_ms)


class MemoryArchive:
    """Objects by key, in their order."""

    def __init__(self) -> None:
        self.objects: dict[str, pa.Table] = {}
        self.read: list[str] = []

    def put(self, at: dt.datetime, batch: int, *rows: dict[str, Any]) -> str:
        key = ArchiveKind.DECISIONS.key("q", batch, 0, int(at.timestamp() * 1000))
        self.objects[key] = decisions(*rows)
        return key

    def keys(self, prefix: str, after: str = "") -> list[str]:
        return [key for key in sorted(self.objects) if key.startswith(prefix) and key > after]

    def read_table(self, key: str, columns: list[str]) -> pa.Table:
        self.read.append(key)
        return self.objects[key].select(columns)


def test_payments_are_found_by_card_merchant_device_and_transaction_newest_first(tmp_path: Path) -> None:
    index = PaymentIndex(tmp_path)
    hour = dt.timedelta(hours=1)
    first = decisions(
        {"transaction_id": "t-1", "device_id": "d", "outcome": "approve"},
        {"transaction_id": "t-2", "event_time": NOON + hour, "device_id": "d", "score": None},
    )
    assert index.add("k-1", first)
    assert index.add("k-2", decisions({"transaction_id": "t-3", "event_time": NOON - hour, "merchant_id": "m-2"}))
    assert not index.add("k-1", first)
    assert index.held() == Held(3, "k-2")

    def names(payments: list[dict[str, Any]]) -> list[str]:
        return [payment["transaction_id"] for payment in payments]

    assert names(index.of_card("card-1", NOON_MS + 10**9, 10)) == ["t-2", "t-1", "t-3"]
    assert names(index.of_card("card-1", NOON_MS, 1)) == ["t-1"]
    assert names(index.of_card("card-2", NOON_MS, 10)) == []
    assert names(index.of(Name("merchant", "merchant-1"), NOON_MS, NOON_MS, 10)) == ["t-1"]
    assert names(index.alerts_of_device("d", 10)) == ["t-2"]
    assert names(index.alerts_of_merchant("merchant-1", 10)) == ["t-2"]
    assert names(index.alerts_of_merchant("m-2", 10)) == ["t-3"]
    (found,) = index.of_card("card-1", NOON_MS + 10**9, 1)
    assert (found["event_ms"], found["score"], found["currency"]) == (NOON_MS + 3_600_000, None, "EUR")
    assert index.place(subject("t-2", NOON_MS + 3_600_000)) == ArchiveRow("k-1", 1)
    assert index.place(subject("t-3", NOON_MS - 3_600_000)) == ArchiveRow("k-2", 0)
    assert index.place(subject("t-3", NOON_MS)) is None
    assert index.place(subject("t-3", NOON_MS - 3_600_000, "card-2")) is None
    assert index.add("k-3", decisions({}).slice(1))
    assert index.add("k-4", decisions({"transaction_id": "t-4"}))
    assert index.place(subject("t-4")) == ArchiveRow("k-4", 0)


def test_alerts_are_found_by_key_and_all_of_a_transaction_id(tmp_path: Path) -> None:
    index, day = PaymentIndex(tmp_path), dt.timedelta(days=1)
    rows: list[dict[str, Any]] = [
        {"event_time": NOON},
        {"event_time": NOON + day},
        {"event_time": NOON, "card_token": "card-2"},
        {"event_time": NOON, "card_token": "card-3", "outcome": "approve"},
    ]
    assert index.add("k", decisions(*rows))
    alerted = [subject("t-1", NOON_MS + 86_400_000), subject("t-1"), subject("t-1", NOON_MS, "card-2")]
    assert sorted(index.alerts_of_transaction("t-1", 10)) == sorted(alerted)
    assert index.alerts_of_transaction("t-1", 1) == alerted[:1]
    assert [index.alert_of_key(one.key) for one in alerted] == alerted
    assert index.alert_of_key(subject("t-1", NOON_MS, "card-3").key) is None, "it was approved"
    assert [index.place(one) for one in alerted] == [ArchiveRow("k", row) for row in (1, 0, 2)]


def test_payments_and_what_they_share_are_found_by_a_beginning_in_any_case(tmp_path: Path) -> None:
    index = PaymentIndex(tmp_path)
    rows: list[dict[str, Any]] = [
        {"transaction_id": "T7-1", "card_token": "Card-A", "outcome": "approve", "ip_address": "192.0.2.7"},
        {"transaction_id": "t7-2", "card_token": "card-a", "customer_id": "c-7"},
        {"transaction_id": "t8_1", "card_token": "card_b", "device_id": "Dev-1"},
    ]
    assert index.add("k", decisions(*rows))
    assert [one["transaction_id"] for one in index.payments_beginning("t7-")] == ["T7-1", "t7-2"]
    assert [one["transaction_id"] for one in index.payments_beginning("T8_")] == ["t8_1"]
    assert index.payments_beginning("t%") == []
    assert index.names_beginning("CARD-") == [Name("card", "Card-A"), Name("card", "card-a")]
    assert index.names_beginning("dev") == [Name("device", "Dev-1")]
    assert index.names_beginning("192.0.", kinds=["card"]) == []
    (address,) = index.names_beginning("192.0.")
    assert index.named(address.key) == address == Name("ip", "192.0.2.7")
    assert [index.named(key) for key in (Name("ip", "192.0.2.8").key, "", "x" * 15)] == [None] * 3
    key = subject("T7-1", NOON_MS, "Card-A").key
    for beginning in (key, key[:8].upper(), key[:30]):
        assert [one["transaction_id"] for one in index.payments_beginning(beginning)] == ["T7-1"]
    assert index.payments_beginning(key[:5]) == [], "so short a text is a word, not a key"
    found = index.of_key(key)
    assert found is not None
    assert found["ip_address"] == "192.0.2.7"
    assert index.of_key("a" * 40) is index.of_key("t7") is None
    assert len(index.of(Name("customer", "c-7"), 0, NOON_MS, 10)) == 1
    index.forget("z")
    assert index.names_beginning("c") == []


def test_the_first_of_two_decisions_on_one_record_is_where_it_lies(tmp_path: Path) -> None:
    index = PaymentIndex(tmp_path)
    assert index.add("k-1", decisions({}))
    assert index.add("k-2", decisions({}))
    assert index.place(subject("t-1")) == ArchiveRow("k-1", 0)


def test_index_is_kept_over_a_restart_and_rebuilt_for_another_version(tmp_path: Path) -> None:
    PaymentIndex(tmp_path).add("k", decisions({}))
    index = PaymentIndex(tmp_path)
    assert index.held() == Held(1, "k")
    index._writer.execute("PRAGMA user_version=99")
    assert PaymentIndex(tmp_path).held() == Held(0, None)


@pytest.mark.parametrize("junk", [b"junk" * 1_000, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_damaged_index_is_logged_and_built_again(tmp_path: Path, junk: bytes) -> None:
    PaymentIndex(tmp_path).add("a", decisions({}))
    for file in tmp_path.iterdir():
        file.write_bytes(junk)
    with structlog.testing.capture_logs() as logs:
        index = PaymentIndex(tmp_path)
    assert [entry["event"] for entry in logs] == ["payment_index_damaged"]
    assert index.held() == Held(0, None)
    assert index.add("a", decisions({}))


def test_follower_takes_each_object_once_also_those_that_come_late(tmp_path: Path) -> None:
    archive, index, now = MemoryArchive(), PaymentIndex(tmp_path), [NOON]
    follower = PaymentFollower(archive, index, lambda: now[0], 30)  # type: ignore[arg-type]
    for batch in range(20):
        archive.put(NOON, batch, {"transaction_id": f"t-{batch}"})
    assert [follower.complete, follower.turn(), follower.complete] == [False, 20, True]
    archive.put(NOON, 20, {"transaction_id": "next"})
    assert [follower.turn(), follower.turn()] == [1, 0]
    late = archive.put(NOON - dt.timedelta(hours=2), 0, {"transaction_id": "late"})
    assert follower.turn() == 0, "not every turn looks so far back"
    now[0] += dt.timedelta(minutes=5)
    assert follower.turn() == 1
    again = PaymentFollower(archive, PaymentIndex(tmp_path), lambda: NOON, 30)  # type: ignore[arg-type]
    assert again.turn() == 0
    assert len(archive.read) == len(set(archive.read)) == 22
    assert late in archive.read


def test_follower_forgets_what_is_too_old(tmp_path: Path) -> None:
    archive, index, now = MemoryArchive(), PaymentIndex(tmp_path), [NOON]
    follower = PaymentFollower(archive, index, lambda: now[0], 30)  # type: ignore[arg-type]
    archive.put(NOON, 1, {"transaction_id": "old"})
    archive.put(NOON + dt.timedelta(days=20), 2, {"transaction_id": "young"})
    follower.turn()
    now[0] = NOON + dt.timedelta(days=31)
    follower.turn()
    assert index.alerts_of_transaction("old", 10) == []
    assert len(index.alerts_of_transaction("young", 10)) == 1
    now[0] += dt.timedelta(minutes=5)
    assert follower.turn() == 0


def test_turn_that_fails_in_between_goes_on_with_the_next(tmp_path: Path) -> None:
    archive, index = MemoryArchive(), PaymentIndex(tmp_path)
    follower = PaymentFollower(archive, index, lambda: NOON, 30)  # type: ignore[arg-type]
    keys = [archive.put(NOON, batch, {"transaction_id": f"t-{batch}"}) for batch in range(10)]
    missing = archive.objects[keys[9]]
    archive.objects[keys[9]] = missing.drop_columns(["mcc"])
    with pytest.raises(KeyError):
        follower.turn()
    archive.objects[keys[9]] = missing
    assert [follower.complete, follower.turn(), follower.complete] == [False, 1, True]
    assert index.held().payments == 10


def test_cards_are_found_by_their_last_four_digits_where_payments_carry_them(tmp_path: Path) -> None:
    index = PaymentIndex(tmp_path)
    rows = [
        {"transaction_id": "t-1", "card_token": "tok-a", "card_last_four": "4242"},
        {"transaction_id": "t-2", "card_token": "tok-a", "card_last_four": "4242"},
        {"transaction_id": "t-3", "card_token": "tok-b", "card_last_four": "4242"},
        {"transaction_id": "t-4", "card_token": "tok-c", "card_last_four": "0001"},
        {"transaction_id": "t-5", "card_token": "tok-d"},
    ]
    index.add("k-1", decisions(*rows))
    assert {name.name for name in index.cards_ending("4242", 10)} == {"tok-a", "tok-b"}
    assert len(index.cards_ending("4242", 1)) == 1
    assert index.cards_ending("9999", 10) == []
