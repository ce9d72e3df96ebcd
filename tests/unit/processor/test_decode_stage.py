"""The decode stage addresses every record, good or bad."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from fraud.dead_letter import DEAD_LETTER_SCHEMA
from processor.decode_stage import DecodeStage
from processor.envelope import Entity, Kind, key_group_of, pack, slot_of, split, unpack
from tests.support.records import NOON, label, stream_records, transaction, wire

STAGE = DecodeStage(labels_stream="fraud-labels", key_groups=4, max_age_ms=None, max_ahead_ms=None)


def run(stage: DecodeStage, *batches: pa.RecordBatch) -> list[tuple[int, str, pa.RecordBatch]]:
    rows = [row for batch in stage(iter(batches)) for row in batch.to_pylist()]
    return [(row["key_group"], row["kind"], unpack(row["payload"])) for row in rows]


def dead_letters(rows: list[tuple[int, str, pa.RecordBatch]]) -> list[dict[str, object]]:
    return [letter for _, kind, payload in rows if kind == Kind.DEAD_LETTERS for letter in payload.to_pylist()]


def test_a_transaction_reaches_its_card_merchant_and_device_group() -> None:
    rows = run(STAGE, stream_records([wire(transaction(device_id="d-1"))]))
    assert [(group // 4, kind, payload.num_rows) for group, kind, payload in rows] == [
        (Entity.CARD, "transactions", 1),
        (Entity.MERCHANT, "transactions", 1),
        (Entity.DEVICE, "transactions", 1),
    ]
    card, merchant, _ = (payload for _, _, payload in rows)
    assert card["card_token"].to_pylist() == ["card-1"]
    assert "raw" in card.schema.names
    assert "raw" not in merchant.schema.names


def test_a_transaction_without_device_goes_to_no_device_group() -> None:
    rows = run(STAGE, stream_records([wire(transaction())]))
    assert [group // 4 for group, _, _ in rows] == [Entity.CARD, Entity.MERCHANT]


def test_a_label_reaches_its_card_and_merchant_group() -> None:
    rows = run(STAGE, stream_records([wire(label())], stream="fraud-labels"))
    assert [(group // 4, kind) for group, kind, _ in rows] == [(Entity.CARD, "labels"), (Entity.MERCHANT, "labels")]


def test_a_bad_record_among_good_ones_becomes_a_dead_letter_with_its_place_and_bytes() -> None:
    bad = wire(transaction(mcc="grocery"))
    rows = run(STAGE, stream_records([wire(transaction()), bad, wire(transaction(transaction_id="t-2"))]))
    (letter,) = dead_letters(rows)
    assert (letter["reason"], letter["field"], letter["data"]) == ("invalid", "mcc", bad)
    assert letter["sequence_number"] == str(10**20 + 1)
    assert letter["replayable"] is True
    decided = [t for g, kind, p in rows if kind == "transactions" and g < 4 for t in p["transaction_id"].to_pylist()]
    assert decided == ["t-1", "t-2"]


def test_a_card_number_is_redacted_in_its_dead_letter() -> None:
    (letter,) = dead_letters(run(STAGE, stream_records([wire(transaction(card_token="4111111111111111"))])))
    assert (letter["reason"], letter["field"], letter["replayable"]) == ("card_number", "card_token", False)
    assert b"4111111111111111" not in letter["data"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("hours", "reason"),
    [(-2, "too_old"), (2, "in_future"), (-0.5, None), (0.5, None)],
)
def test_event_times_far_from_arrival_are_refused(hours: float, reason: str | None) -> None:
    stage = DecodeStage("fraud-labels", 4, max_age_ms=3_600_000, max_ahead_ms=3_600_000)
    rows = run(stage, stream_records([wire(transaction(event_time=NOON + dt.timedelta(hours=hours)))]))
    assert [letter["reason"] for letter in dead_letters(rows)] == ([reason] if reason else [])


def test_nothing_good_still_yields_columns_of_dead_letters() -> None:
    rows = run(STAGE, stream_records([b"", b"\xff", b"[1]"]))
    assert {kind for _, kind, _ in rows} == {Kind.DEAD_LETTERS}
    assert len(dead_letters(rows)) == 3
    assert all(payload.schema == DEAD_LETTER_SCHEMA for _, _, payload in rows)


def test_split_keeps_every_row_and_its_order() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [0, 1, 2, 3, 4]})
    parts = split(batch, pa.array([1, 0, 1, 3, 1]).to_numpy())
    assert [(number, part["n"].to_pylist()) for number, part in parts] == [(0, [1]), (1, [0, 2, 4]), (3, [3])]
    assert split(batch.slice(0, 0), pa.array([], pa.int64()).to_numpy()) == []


def test_pack_and_unpack_are_inverse() -> None:
    batch = stream_records([b"a", b"b"])
    assert unpack(pack(batch)).equals(batch)


def test_key_groups_of_an_entity_lie_in_its_own_range_and_never_move() -> None:
    ids = pa.array(["card-1", "card-2", "card-1"])
    # CRC-32 of "card-1" is 0x64ecd394, of "card-2" 0xfde5822e; modulo 4: 0 and 2; merchants start at 4
    assert key_group_of(Entity.MERCHANT, ids, 4).tolist() == [4, 6, 4]


def test_every_part_of_a_record_meets_in_one_slot() -> None:
    records = stream_records([b""] * 6)
    assert slot_of(records, 4).tolist() == [0, 1, 2, 3, 0, 1]
