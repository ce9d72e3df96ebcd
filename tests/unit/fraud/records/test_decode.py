"""Decoding: good records become columns, bad ones a reason; nothing raises."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jsonschema
import pytest

from fraud.records import Row
from fraud.records.dead_letter import Reason
from fraud.records.decode import LABELS, MAX_RECORD_BYTES, TRANSACTIONS
from fraud.records.label import LABEL_JSON_SCHEMA
from fraud.records.transaction import TRANSACTION_JSON_SCHEMA, TRANSACTION_SCHEMA
from tests.support.records import NOON, label, transaction, wire


def test_a_good_record_becomes_a_row_with_the_declared_schema() -> None:
    decoded = TRANSACTIONS.decode([wire(transaction(amount_minor=99, device_id="d-7"))])
    assert decoded.batch.schema == TRANSACTION_SCHEMA
    row = decoded.batch.to_pylist()[0]
    assert (row["amount_minor"], row["device_id"], row["home_lat"]) == (99, "d-7", None)
    assert row["event_time"] == NOON


def test_times_with_another_offset_are_kept_as_utc() -> None:
    decoded = TRANSACTIONS.decode([wire(transaction(event_time="2026-01-15T14:30:00.125+02:30"))])
    assert decoded.batch["event_time"].to_pylist() == [NOON + dt.timedelta(milliseconds=125)]


def test_unknown_fields_are_ignored_so_that_producers_may_be_newer() -> None:
    assert TRANSACTIONS.decode([wire(transaction(wallet="w"))]).batch.num_rows == 1


def test_rows_name_the_position_of_each_good_record() -> None:
    decoded = TRANSACTIONS.decode([b"x", wire(transaction()), b"y", wire(transaction())])
    assert decoded.rows.to_pylist() == [1, 3]
    assert [reject.row for reject in decoded.rejects] == [0, 2]


@pytest.mark.parametrize(
    ("record", "reason", "field"),
    [
        (b"", Reason.UNDECODABLE, None),
        (b"{", Reason.UNDECODABLE, None),
        (b"\xff\xfe", Reason.UNDECODABLE, None),
        (b"[1]", Reason.UNDECODABLE, None),
        (b'{"a":' + b"[" * 10_000, Reason.UNDECODABLE, None),
        (b" " * (MAX_RECORD_BYTES + 1), Reason.OVERSIZE, None),
        (wire(transaction(schema_version=2)), Reason.UNSUPPORTED_VERSION, "schema_version"),
        (wire(transaction(mcc="groceries")), Reason.INVALID, "mcc"),
        (wire(transaction(amount_minor=-1)), Reason.INVALID, "amount_minor"),
        (wire(transaction(amount_minor=1.5)), Reason.INVALID, "amount_minor"),
        (wire(transaction(amount_minor="12")), Reason.INVALID, "amount_minor"),
        (wire(transaction(currency="euro")), Reason.INVALID, "currency"),
        (wire(transaction(event_time="2026-01-15T12:00:00")), Reason.INVALID, "event_time"),
        (wire(transaction(channel="pigeon")), Reason.INVALID, "channel"),
        (wire(transaction(merchant_lat=91.0)), Reason.INVALID, "merchant_lat"),
        (wire(transaction(card_token=None)), Reason.INVALID, "card_token"),
        (wire(transaction(card_token="")), Reason.INVALID, "card_token"),
        (wire(transaction(card_token="with space")), Reason.INVALID, "card_token"),
        (wire(transaction(card_token="4111111111111111")), Reason.CARD_NUMBER, "card_token"),
        (wire(transaction(memo="4111111111111111")), Reason.CARD_NUMBER, "memo"),
    ],
)
def test_a_bad_record_yields_its_reason_and_field(record: bytes, reason: Reason, field: str | None) -> None:
    decoded = TRANSACTIONS.decode([record])
    assert decoded.batch.num_rows == 0
    (reject,) = decoded.rejects
    assert (reject.reason, reject.field) == (reason, field)


@pytest.mark.parametrize("field", [name for name in transaction() if name != "schema_version"])
def test_each_required_field_is_missed_by_name(field: str) -> None:
    record = {name: value for name, value in transaction().items() if name != field}
    (reject,) = TRANSACTIONS.decode([wire(record)]).rejects
    assert (reject.reason, reject.field) == (Reason.INVALID, field)


FILLED = {
    "transaction": (TRANSACTIONS, transaction(
        terminal_id="t", device_id="d", ip_address="192.0.2.1", shipping_address_hash="h", avs_result="match",
        cvv_result="match", three_ds_result="failed",
    )),
    "label": (LABELS, label(terminal_id="t")),
}  # fmt: skip
"""A record of each kind with all its fields of text."""
TEXTS = [(kind, name) for kind, (_, record) in FILLED.items() for name in record if isinstance(record[name], str)]


@pytest.mark.parametrize("appended", ["\n", "\r\n", " ", "\u0000", "\u2028", "\u00a0"])
@pytest.mark.parametrize(("kind", "field"), TEXTS)
def test_nothing_may_stand_behind_a_value_not_even_a_newline(kind: str, field: str, appended: str) -> None:
    decoder, record = FILLED[kind]
    (reject,) = decoder.decode([wire(record | {field: record[field] + appended})]).rejects
    assert (reject.reason, reject.field) == (Reason.INVALID, field)


@pytest.mark.parametrize(("kind", "field"), TEXTS)
def test_no_text_is_empty(kind: str, field: str) -> None:
    decoder, record = FILLED[kind]
    assert [reject.field for reject in decoder.decode([wire(record | {field: ""})]).rejects] == [field]
    assert decoder.decode([wire(record)]).rejects == []


def test_a_refusal_never_repeats_a_value() -> None:
    for fields in ({"channel": "Jane Doe"}, {"mcc": "Jane Doe"}, {"schema_version": 77}, {"event_time": "Jane Doe"}):
        (reject,) = TRANSACTIONS.decode([wire(transaction(**fields))]).rejects
        assert "Jane Doe" not in reject.detail
        assert "77" not in reject.detail


def test_labels_decode_likewise() -> None:
    decoded = LABELS.decode([wire(label()), wire(label(verdict="perhaps"))])
    assert decoded.batch["verdict"].to_pylist() == ["fraud"]
    assert [(reject.row, reject.field) for reject in decoded.rejects] == [(1, "verdict")]


MINUTE_MS, DAY_MS = 60_000, 86_400_000


@pytest.mark.parametrize(
    ("stated", "time", "precision_ms"),
    [
        ("2026-01-15T12:34Z", dt.datetime(2026, 1, 15, 12, 34, tzinfo=dt.UTC), MINUTE_MS),
        ("2026-01-15 12:34z", dt.datetime(2026, 1, 15, 12, 34, tzinfo=dt.UTC), MINUTE_MS),
        ("2026-01-15T12:34-05:30", dt.datetime(2026, 1, 15, 18, 4, tzinfo=dt.UTC), MINUTE_MS),
        ("2026-01-15", dt.datetime(2026, 1, 15, tzinfo=dt.UTC), DAY_MS),
        ("2026-01-15T00:00+02:00", dt.datetime(2026, 1, 14, 22, tzinfo=dt.UTC), DAY_MS),
        ("2026-01-15T00:00:30Z", dt.datetime(2026, 1, 15, 0, 0, 30, tzinfo=dt.UTC), 1_000),
    ],
)
def test_a_label_is_as_precise_as_its_time_is_written(stated: str, time: dt.datetime, precision_ms: int) -> None:
    record = wire(label(transaction_time=stated, label_time="2026-02-01"))
    (row,) = LABELS.decode([record]).batch.to_pylist()
    assert (row["transaction_time"], row["transaction_time_precision_ms"]) == (time, precision_ms)
    assert row["label_time"] == dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    one = LABELS.decode_one(record)
    assert isinstance(one, Row)
    assert one == row
    validator = jsonschema.Draft202012Validator
    schema = validator(LABEL_JSON_SCHEMA, format_checker=validator.FORMAT_CHECKER)
    assert schema.is_valid(json.loads(record))


@pytest.mark.parametrize(
    "stated",
    ["2026-02-30", "2026-01-15T25:00Z", "2026-01-15T12:34", "2026-01", "15.01.2026", "2026-01-15Z", "", 20260115],
)
def test_a_label_whose_time_says_nothing_certain_is_refused_by_name(stated: Any) -> None:
    (reject,) = LABELS.decode([wire(label(transaction_time=stated))]).rejects
    assert (reject.reason, reject.field) == (Reason.INVALID, "transaction_time")


def test_a_time_without_seconds_excuses_no_other_field() -> None:
    (reject,) = LABELS.decode([wire(label(transaction_time="2026-01-15", verdict="perhaps"))]).rejects
    assert (reject.reason, reject.field) == (Reason.INVALID, "verdict")
    (reject,) = TRANSACTIONS.decode([wire(transaction(event_time="2026-01-15"))]).rejects
    assert (reject.reason, reject.field) == (Reason.INVALID, "event_time")


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"])
@pytest.mark.parametrize("place", [b'"unknown": "%s"', b'"%s": 1', b'"unknown": [{"deep": "a%sb"}]'])
def test_broken_text_is_refused_wherever_it_stands(broken: bytes, place: bytes) -> None:
    for decoder, record in ((TRANSACTIONS, wire(transaction())), (LABELS, wire(label()))):
        assert decoder.decode([record[:-1] + b", " + place % "ü".encode() + b"}"]).rejects == []
        (reject,) = decoder.decode([record[:-1] + b", " + place % broken + b"}"]).rejects
        assert (reject.reason, reject.field) == (Reason.UNDECODABLE, None)


def as_json(record: dict[str, Any]) -> Any:
    return json.loads(wire(record))


def test_the_json_schema_agrees_with_the_decoder() -> None:
    validator = jsonschema.Draft202012Validator(TRANSACTION_JSON_SCHEMA)
    jsonschema.Draft202012Validator.check_schema(TRANSACTION_JSON_SCHEMA)
    assert validator.is_valid(as_json(transaction()))
    for wrong in ({"mcc": "x"}, {"amount_minor": -1}, {"channel": "pigeon"}, {"schema_version": 2}):
        assert not validator.is_valid(as_json(transaction(**wrong)))
