"""What intake and path make of records that carry an answer: folded by when they were received, never decided again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.path import FeaturePath
from fraud.records import Records, Row
from fraud.records.answered import AnswerKey
from fraud.records.arrival import ARRIVAL_COLUMNS, DUPLICATE_HORIZON_MS
from fraud.records.intake import Intake
from fraud.records.notes import totals
from operations.dead_letters import dead_letters_of, partition_key_of
from tests.support.answers import KEY, KEYS, NOON_MS, sealed
from tests.support.records import NOON, stream_records, transaction, wire

HOUR_MS = 3_600_000
INTAKE = Intake("labels", max_age_ms=HOUR_MS, max_ahead_ms=HOUR_MS, keys=KEYS)
FORGED = sealed(key=AnswerKey("k1", b"x" * 32))


def read(*data: bytes, intake: Intake = INTAKE) -> Records:
    return intake.read(stream_records(data))


def rows(part: pa.RecordBatch | None) -> list[dict[str, Any]]:
    return [] if part is None else part.to_pylist()


def noticed(records: Records) -> dict[str, int]:
    return {} if records.notes is None else dict(totals(records.notes))


def test_the_time_of_receipt_is_the_arrival_and_the_bytes_stay_as_received() -> None:
    data = sealed(received_ms=NOON_MS - HOUR_MS)
    asked, unasked = rows(read(data, wire(transaction(transaction_id="t-2"))).transactions)
    assert (asked["answered"], asked["recorded_arrival"], asked["raw"]) == (True, NOON - dt.timedelta(hours=1), data)
    assert (unasked["answered"], unasked["recorded_arrival"]) == (False, None)


def test_a_recorded_arrival_that_counts_wins_over_the_time_of_receipt() -> None:
    data = sealed(transaction(recorded_arrival=NOON - dt.timedelta(days=30)), received_ms=NOON_MS)
    (simulated,) = rows(read(data, intake=Intake("labels", honours_recorded=True, keys=KEYS)).transactions)
    assert simulated["recorded_arrival"] == NOON - dt.timedelta(days=30)
    (received,) = rows(read(data).transactions)
    assert received["recorded_arrival"] == NOON


def test_what_was_answered_is_not_refused_for_its_age() -> None:
    old = transaction(event_time=NOON - dt.timedelta(hours=2))
    assert [row["reason"] for row in rows(read(wire(old)).dead_letters)] == ["too_old"]
    assert rows(read(sealed(old)).dead_letters) == []


@pytest.mark.parametrize("received_ms", [NOON_MS - DUPLICATE_HORIZON_MS - 1, NOON_MS + DUPLICATE_HORIZON_MS + 1])
def test_an_answer_from_beyond_the_duplicate_horizon_is_a_dead_letter(received_ms: int) -> None:
    found = read(sealed(received_ms=received_ms))
    (dead_letter,) = rows(found.dead_letters)
    assert (found.transactions, dead_letter["reason"], dead_letter["field"]) == (None, "untimely_answer", "received_ms")
    nearer = received_ms + (1 if received_ms < NOON_MS else -1)
    assert rows(read(sealed(received_ms=nearer)).dead_letters) == []


@pytest.mark.parametrize(
    ("data", "keys", "note"),
    [
        (FORGED, KEYS, "answer_unverified"),
        (sealed(), {}, "answer_unverified"),
        (sealed()[: sealed().index(b',"key"')] + b"}", KEYS, "answer_unverified"),
    ],
)
def test_a_record_whose_answer_does_not_count_is_taken_as_if_it_had_none(
    data: bytes, keys: dict[str, AnswerKey], note: str
) -> None:
    found = read(data, intake=Intake("labels", HOUR_MS, HOUR_MS, keys=keys))
    (row,) = rows(found.transactions)
    assert (row["answered"], row["recorded_arrival"], row["raw"]) == (False, None, data)
    assert noticed(found) == {note: 1}


def test_a_forged_answer_makes_no_old_record_young() -> None:
    old = transaction(event_time=NOON - dt.timedelta(hours=2))
    found = read(sealed(old, key=AnswerKey("k1", b"x" * 32), received_ms=NOON_MS - 2 * HOUR_MS))
    assert [row["reason"] for row in rows(found.dead_letters)] == ["too_old"]


def test_a_card_number_in_an_answer_that_does_not_count_is_refused_and_redacted() -> None:
    found = read(sealed(key=AnswerKey("k1", b"x" * 32), reasons=["card 4111 1111 1111 1111"]))
    (dead_letter,) = rows(found.dead_letters)
    assert dead_letter["reason"] == "card_number"
    assert b"4111 1111" not in dead_letter["data"]


def test_a_damaged_record_is_refused_as_a_version_that_is_not_known() -> None:
    found = read(sealed()[:-20])
    assert [row["reason"] for row in rows(found.dead_letters)] == ["unsupported_version"]


def outcomes(*data: bytes) -> tuple[list[bytes], list[str]]:
    """Bytes of what was folded, and the reasons of the rest, one record at a time and as one batch alike."""
    whole = FeaturePath().advance(INTAKE.read(stream_records(data)))
    one_by_one: dict[str, list[Row]] = {kind: [] for kind in Records._fields}
    path = FeaturePath()
    for record in stream_records(data).to_pylist():
        one = INTAKE.read_one(Row({name: record[name] for name in ARRIVAL_COLUMNS}), record["data"])
        for kind, row in path.advance(one).kinds():
            one_by_one[kind].append(row)
    found = [row["raw"] for row in rows(whole.transactions)], sorted(row["reason"] for row in rows(whole.dead_letters))
    assert found[0] == [row["raw"] for row in one_by_one["transactions"]]
    assert found[1] == sorted(row["reason"] for row in one_by_one["dead_letters"])
    return found


def test_the_first_record_of_a_payment_on_the_stream_is_folded_and_the_other_answer_is_kept_as_conflicting() -> None:
    here, there = sealed(), sealed(received_ms=NOON_MS + 3, instance="decide-1", outcome="decline")
    asked, unasked = sealed(received_ms=NOON_MS - 5), wire(transaction())
    assert outcomes(here, there) == ([here], ["conflicting_answer"])
    assert outcomes(unasked, asked) == ([unasked], ["conflicting_answer"])
    assert outcomes(asked, unasked) == ([asked], ["duplicate"])


def test_the_same_answer_sent_again_is_a_duplicate() -> None:
    assert outcomes(sealed(), sealed()) == ([sealed()], ["duplicate"])


def test_a_conflicting_answer_that_is_replayed_keeps_its_place_among_those_of_its_card() -> None:
    refused = FeaturePath().advance(read(sealed(), sealed(received_ms=NOON_MS + 3))).dead_letters
    (dead_letter,) = dead_letters_of(pa.Table.from_batches([refused]), set())
    assert partition_key_of(dead_letter) == "card-1"


RECORD = st.one_of(
    st.builds(
        lambda n, age, key, off: sealed(
            transaction(transaction_id=f"t-{n}", event_time=NOON - dt.timedelta(seconds=age)),
            key,
            received_ms=NOON_MS + off,
        ),
        st.integers(1, 3),
        st.sampled_from([0, 7_200]),
        st.sampled_from([KEY, AnswerKey("k9", b"x" * 32)]),
        st.sampled_from([0, 1, -HOUR_MS, 2 * DUPLICATE_HORIZON_MS]),
    ),
    st.builds(lambda n: wire(transaction(transaction_id=f"t-{n}")), st.integers(1, 3)),
    st.sampled_from([b"", b"{}", sealed()[:-9]]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=8))
def test_every_record_is_folded_or_refused_once_and_alike_one_by_one(data: list[bytes]) -> None:
    folded, refused = outcomes(*data)
    assert len(folded) + len(refused) == len(data)
