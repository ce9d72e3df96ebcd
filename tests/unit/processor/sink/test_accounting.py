"""What is counted of decisions."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from fraud.records.schema import TIMESTAMP_MS, milliseconds_of
from processor.sink.accounting import waited_ms
from tests.support.records import NOON

CENTURY = dt.timedelta(days=36_500)


def test_a_sender_whose_clock_is_wrong_by_years_does_not_spoil_the_mean() -> None:
    sent = [NOON - dt.timedelta(milliseconds=450), NOON + CENTURY, NOON - CENTURY / 2]
    decisions = pa.table({"sent_at": pa.array(sent, TIMESTAMP_MS)})
    assert waited_ms(decisions, milliseconds_of(NOON)).tolist() == [450, 0, 86_400_000]
