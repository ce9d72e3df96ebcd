"""A label that does not say when exactly is about the transaction that the job would have taken."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.backtest.labels import DAY_MS, LABEL_COLUMNS, NAMING_COLUMNS, KnownLabels, with_exact_times
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.records import NOON, label, transaction

LABELS = pa.schema([LABEL_SCHEMA.field(name) for name in LABEL_COLUMNS])
DECISIONS = pa.schema([TRANSACTION_SCHEMA.field(name) for name in NAMING_COLUMNS])
MIDNIGHT = NOON.replace(hour=0)


def decisions(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([transaction(**row) for row in rows], DECISIONS)


def labels(*rows: dict[str, Any]) -> pa.Table:
    plain = dict.fromkeys(LABELS.names)
    return pa.Table.from_pylist([plain | label(**row) for row in rows], LABELS)


def frauds(given: pa.Table, decided: pa.Table, cut: int = 1) -> list[bool]:
    chunks = [decided.slice(start, cut) for start in range(0, len(decided), cut)]
    known = KnownLabels(with_exact_times(given, chunks), 10**15, 30 * DAY_MS)
    return [bool(fraud) for chunk in chunks for fraud in known.look_up(chunk).fraud]


@pytest.mark.parametrize(
    ("at", "precision_ms", "found"),
    [
        (NOON, None, True),
        (MIDNIGHT, DAY_MS, True),
        (MIDNIGHT, None, False),
        (NOON - dt.timedelta(seconds=30), 60_000, True),
        (NOON - dt.timedelta(seconds=60), 60_000, False),
        (NOON + dt.timedelta(milliseconds=1), DAY_MS, False),
    ],
)
def test_a_label_finds_its_transaction_within_its_precision(
    at: dt.datetime, precision_ms: int | None, found: bool
) -> None:
    given = labels({"transaction_time": at, "transaction_time_precision_ms": precision_ms})
    assert frauds(given, decisions({})) == [found]


def test_of_several_transactions_within_its_precision_it_takes_none_though_they_lie_in_other_chunks() -> None:
    day = labels({"transaction_time": MIDNIGHT, "transaction_time_precision_ms": DAY_MS})
    elsewhere = {"merchant_id": "other", "event_time": NOON + dt.timedelta(hours=3)}
    assert frauds(day, decisions({}, {"event_time": NOON + dt.timedelta(hours=3)})) == [False, False]
    assert frauds(day, decisions({"event_time": MIDNIGHT}, {})) == [True, False]  # the first is of the very time
    assert frauds(day, decisions({}, {"card_token": "other"}, elsewhere)) == [True, False, False]


@pytest.mark.parametrize("correction", ["withdrawn", "legitimate"])
def test_of_several_labels_the_last_to_arrive_counts_among_those_that_were_known(correction: str) -> None:
    later = {"label_time": NOON + dt.timedelta(days=8), "verdict": correction}
    assert frauds(labels({}, later), decisions({})) == [False]
    assert frauds(labels(later, {}), decisions({})) == [True]
    in_between = round((NOON + dt.timedelta(days=7.5)).timestamp() * 1000)
    assert KnownLabels(labels({}, later), in_between, 30 * DAY_MS).look_up(decisions({})).fraud.tolist() == [True]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from("ab")), max_size=8, unique=True),
    st.integers(0, 200),
    st.sampled_from([1, 10, 100]),
    st.integers(1, 4),
)
def test_the_rule_is_that_of_the_job(times: list[tuple[int, str]], stated: int, precision: int, cut: int) -> None:
    at = [{"event_time": NOON + dt.timedelta(milliseconds=ms), "transaction_id": name} for ms, name in times]
    day = {"transaction_id": "a", "transaction_time": NOON + dt.timedelta(milliseconds=stated)}
    given = labels(day | {"transaction_time_precision_ms": precision})
    named = [ms for ms, name in times if name == "a" and stated <= ms < stated + precision]
    meant = stated if stated in named else named[0] if len(named) == 1 else None
    assert frauds(given, decisions(*at), cut) == [name == "a" and ms == meant for ms, name in times]
