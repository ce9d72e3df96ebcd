"""Decoding: good records become columns, bad ones a reason; nothing raises."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jsonschema
import pytest

from fraud.card_number import contains_card_number, passes_luhn, redact
from fraud.dead_letter import Reason
from fraud.decode import LABELS, MAX_RECORD_BYTES, TRANSACTIONS
from fraud.transaction import TRANSACTION_JSON_SCHEMA, TRANSACTION_SCHEMA
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
        (wire(transaction(memo="4111111111111111")), Reason.CARD_NUMBER, None),
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


def test_a_refusal_never_repeats_a_card_number() -> None:
    (reject,) = TRANSACTIONS.decode([wire(transaction(channel="4111111111111111"))]).rejects
    assert "4111111111111111" not in reject.detail


def test_labels_decode_likewise() -> None:
    decoded = LABELS.decode([wire(label()), wire(label(verdict="perhaps"))])
    assert decoded.batch["verdict"].to_pylist() == ["fraud"]
    assert [(reject.row, reject.field) for reject in decoded.rejects] == [(1, "verdict")]


def as_json(record: dict[str, Any]) -> Any:
    return json.loads(wire(record))


def test_the_json_schema_agrees_with_the_decoder() -> None:
    validator = jsonschema.Draft202012Validator(TRANSACTION_JSON_SCHEMA)
    jsonschema.Draft202012Validator.check_schema(TRANSACTION_JSON_SCHEMA)
    assert validator.is_valid(as_json(transaction()))
    for wrong in ({"mcc": "x"}, {"amount_minor": -1}, {"channel": "pigeon"}, {"schema_version": 2}):
        assert not validator.is_valid(as_json(transaction(**wrong)))


@pytest.mark.parametrize("digits", [b"4111111111111111", b"378282246310005", b"6304000000000000", b"4222222222222"])
def test_luhn_accepts_known_test_card_numbers(digits: bytes) -> None:
    assert passes_luhn(digits)


def test_runs_too_short_or_too_long_are_no_card_numbers() -> None:
    assert not contains_card_number(b"424242424242")  # 12 digits, passes Luhn
    assert not contains_card_number(b"42424242424242424242")  # 20 digits


def test_redaction_keeps_everything_else() -> None:
    redacted = redact(b"a 4111111111111111 b 4111111111111112")
    assert redacted.startswith(b"a [card:")
    assert redacted.endswith(b"] b 4111111111111112")
