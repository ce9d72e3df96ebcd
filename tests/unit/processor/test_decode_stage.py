"""The decode stage addresses every record, good or bad."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from fraud.records import Records
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.settings import Job, Settings
from processor.decode_stage import DecodeStage
from processor.envelope import collect, pack, split, unpack
from processor.run import Run
from tests.support.records import NOON, label, stream_records, transaction, wire

STAGE = DecodeStage(Run(settings=Settings(job=Job(key_groups=4))))


def run(stage: DecodeStage, *batches: pa.RecordBatch) -> list[tuple[int, str, pa.RecordBatch]]:
    rows = [row for batch in stage(iter(batches)) for row in batch.to_pylist()]
    return [(row["key_group"], row["kind"], unpack(row["payload"])) for row in rows]


def dead_letters(rows: list[tuple[int, str, pa.RecordBatch]]) -> list[dict[str, object]]:
    return [dead_letter for _, kind, payload in rows if kind == "dead_letters" for dead_letter in payload.to_pylist()]


def test_transactions_and_labels_go_to_the_group_of_their_card() -> None:
    transactions = run(STAGE, stream_records([wire(transaction(card_token=f"card-{n}")) for n in (1, 2, 1)]))
    # CRC-32 of "card-1" is 0x64ecd394, of "card-2" 0xfde5822e: modulo 4 they are 0 and 2, numbered 12 and 2
    assert [(group, kind, payload.num_rows) for group, kind, payload in transactions] == [
        (2, "transactions", 1),
        (12, "transactions", 2),
    ]
    labels = run(STAGE, stream_records([wire(label(card_token="card-2"))], stream="fraud-labels"))
    assert [(group, kind) for group, kind, _ in labels] == [(2, "labels")]


def test_the_raw_bytes_travel_with_the_columns() -> None:
    data = wire(transaction())
    ((_, _, payload),) = run(STAGE, stream_records([data]))
    assert payload["raw"].to_pylist() == [data]


def test_a_bad_record_among_good_ones_becomes_a_dead_letter_with_its_place_and_bytes() -> None:
    bad = wire(transaction(mcc="grocery"))
    rows = run(STAGE, stream_records([wire(transaction()), bad, wire(transaction(transaction_id="t-2"))]))
    (dead_letter,) = dead_letters(rows)
    assert (dead_letter["reason"], dead_letter["field"], dead_letter["data"]) == ("invalid", "mcc", bad)
    assert dead_letter["sequence_number"] == str(10**20 + 1)
    assert dead_letter["replayable"] is True
    decided = [t for _, kind, p in rows if kind == "transactions" for t in p["transaction_id"].to_pylist()]
    assert decided == ["t-1", "t-2"]


def test_a_card_number_is_redacted_in_its_dead_letter() -> None:
    (dead_letter,) = dead_letters(run(STAGE, stream_records([wire(transaction(card_token="4111111111111111"))])))
    assert (dead_letter["reason"], dead_letter["field"], dead_letter["replayable"]) == (
        "card_number",
        "card_token",
        False,
    )
    assert b"4111111111111111" not in dead_letter["data"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("hours", "reason"),
    [(-2, "too_old"), (2, "in_future"), (-0.5, None), (0.5, None)],
)
def test_event_times_far_from_arrival_are_refused(hours: float, reason: str | None) -> None:
    stage = DecodeStage(Run(settings=Settings(job=Job(key_groups=4, max_age_s=3_600, max_ahead_s=3_600))))
    rows = run(stage, stream_records([wire(transaction(event_time=NOON + dt.timedelta(hours=hours)))]))
    assert [dead_letter["reason"] for dead_letter in dead_letters(rows)] == ([reason] if reason else [])


def test_nothing_good_still_yields_columns_of_dead_letters() -> None:
    rows = run(STAGE, stream_records([b"", b"\xff", b"[1]"]))
    assert {kind for _, kind, _ in rows} == {"dead_letters"}
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


def test_collect_joins_the_payloads_of_a_kind() -> None:
    rows = [("labels", pack(stream_records([b"a"]))), ("labels", pack(stream_records([b"b", b"c"])))]
    labels = collect(rows).labels
    assert labels is not None
    assert labels["data"].to_pylist() == [b"a", b"b", b"c"]
    assert collect([]) == Records()
