"""The decision key: one for each record and no other, the same however it is computed."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.alerts.alert import alert_item, subject_of
from adapters.alerts.dynamodb_items import stored_form
from adapters.files.ground_truth import Truth
from fraud.decision.key import Subject, is_key, subjects_of
from fraud.records import Row
from fraud.records.decode import LABELS, TRANSACTIONS
from fraud.records.encode import encode
from fraud.records.schema import TIMESTAMP_MS, time_of
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.records import KEPT_DAYS, VERDICT, label, transaction, wire

CONTRACT = Path(__file__).parents[2] / "docs" / "data-contract.md"
LAST_MS = 253_402_300_799_999  # of the year 9999

ACCEPTED = st.text("aB:|#/~-_.", min_size=1, max_size=64)
"""Ids that the decoder takes, with what others join ids by."""

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SEPARATED = st.text("a:0 \n\x1f", max_size=6)
"""Ids of which many become one where they are joined."""

IDS = st.one_of(SEPARATED, ACCEPTED, ANY)
SUBJECTS = st.builds(Subject, IDS, IDS, st.one_of(st.integers(0, 12), st.integers(0, LAST_MS)))


@given(st.lists(SUBJECTS, min_size=2, max_size=40, unique=True))
def test_no_two_records_have_one_key(subjects: list[Subject]) -> None:
    assert len({subject.key for subject in subjects}) == len(subjects)


@given(st.text("a1: ", min_size=2, max_size=12), st.integers(0, 2000), st.data())
def test_a_character_moved_from_one_part_to_another_makes_another_key(
    text: str, time_ms: int, data: st.DataObject
) -> None:
    cuts = st.tuples(*[st.integers(0, len(text))] * 2).filter(lambda cuts: cuts[0] != cuts[1])
    here, there = data.draw(cuts)
    assert Subject(text[:here], text[here:], time_ms).key != Subject(text[:there], text[there:], time_ms).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a:b", "c"), ("a", "b:c")),
        (("\u00e9", "t"), ("e\u0301", "t")),  # the same letter to the eye
        (("K", "t"), ("\u212a", "t")),  # the same letter after folding
        (("tok", "T-1"), ("tok", "t-1")),
        (("tok", "t-1"), ("tok", "t-1\n")),
        (("tok", "t-1"), ("tok ", "t-1")),
        (("1", "23"), ("12", "3")),
        (("", "ab"), ("ab", "")),
    ],
)
def test_ids_that_look_alike_have_keys_of_their_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert Subject(*one, 0).key != Subject(*other, 0).key


@settings(deadline=None)  # the first example loads Polars
@given(ACCEPTED, ACCEPTED, st.integers(0, 9_000_000_000_000), st.integers(-720, 720))
def test_bytes_columns_and_a_single_row_have_the_same_key(card: str, known: str, time_ms: int, offset: int) -> None:
    subject, time = Subject(card, known, time_ms), time_of(time_ms)
    elsewhere = time.astimezone(dt.timezone(dt.timedelta(minutes=offset)))
    spelt = [wire(transaction(card_token=card, transaction_id=known, event_time=at)) for at in (time, elsewhere)]
    decoded = TRANSACTIONS.decode([wire(transaction(transaction_id="another")), *spelt]).batch
    assert decoded.num_rows == 3
    assert subjects_of(decoded)[1:] == [subject] * 2
    assert subjects_of(pa.Table.from_batches([decoded, decoded]))[4:] == [subject] * 2, "in another place"
    row = TRANSACTIONS.decode_one(spelt[1])
    assert isinstance(row, Row)
    assert Subject.of(row).key == subject.key
    (again,) = encode(decoded.slice(1, 1))
    assert subjects_of(TRANSACTIONS.decode([again]).batch) == [subject]


@given(ACCEPTED, ACCEPTED, st.integers(0, 9_000_000_000_000))
def test_alert_label_and_truth_of_a_record_lead_back_to_it(card: str, known: str, time_ms: int) -> None:
    subject, time = Subject(card, known, time_ms), time_of(time_ms)
    alert = alert_item(transaction(card_token=card, transaction_id=known, event_time=time) | VERDICT, {}, KEPT_DAYS)
    assert subject_of(stored_form(alert)) == subject
    assert alert["alert_id"] == subject.key
    sent = wire(label(card_token=card, transaction_id=known, transaction_time=time))
    assert subjects_of(LABELS.decode([sent]).batch, "transaction_time") == [subject]
    assert Truth(known, card, time).subject == subject


@given(SUBJECTS)
def test_a_key_is_safe_in_an_address_and_is_never_a_card_number(subject: Subject) -> None:
    assert re.fullmatch("[a-p]{40}", subject.key)
    assert is_key(subject.key)


def test_the_contract_s_sql_computes_the_same_keys() -> None:
    (statement,) = re.findall(r"```sql\n(SELECT [^`]*sha256[^`]*)```", CONTRACT.read_text())
    subjects = [
        Subject("tok-1", "t-1", 1_768_478_400_123),
        Subject("a:b", "c", 0),
        Subject("a", "b:c", 0),
        Subject("card_0123456789", "000123", LAST_MS),
    ]
    rows = [
        transaction(card_token=card, transaction_id=known, event_time=time_of(time_ms))
        for card, known, time_ms in subjects
    ]
    decisions = pa.table(
        {
            name: pa.array([row[name] for row in rows], TRANSACTION_SCHEMA.field(name).type)
            for name in ("card_token", "transaction_id", "event_time")
        }
    )
    assert decisions.schema.field("event_time").type == TIMESTAMP_MS
    with duckdb.connect() as database:
        database.register("decisions", decisions)
        found = database.sql(statement).fetchall()
    assert [key for *_, key in found] == [subject.key for subject in subjects]
