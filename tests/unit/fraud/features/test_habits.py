"""A card's own week, by hand: 2026-01-12 is a Monday."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from fraud.path import FeaturePath
from tests.support.feature_streams import TRANSACTIONS
from tests.support.records import transaction

MONDAY = dt.datetime(2026, 1, 12, 10, 0, tzinfo=dt.UTC)


def weekday_deviations(*days_after_monday: int) -> list[float | None]:
    rows = []
    for number, days in enumerate(days_after_monday):
        place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0, "arrival_ms": number}
        record = transaction(transaction_id=f"t-{number}", event_time=MONDAY + dt.timedelta(days=days))
        rows.append({name: record.get(name) for name in TRANSACTIONS.names} | place)
    batch = FeaturePath().featured(pa.RecordBatch.from_pylist(rows, schema=TRANSACTIONS))
    values: list[float | None] = batch["card_weekday_deviation_d"].to_pylist()
    return values


def test_a_card_of_mondays_is_three_days_off_on_a_thursday_and_one_on_a_sunday() -> None:
    *_, thursday, sunday = weekday_deviations(0, 7, 14, 21, 28, 31, 34)
    assert thursday == pytest.approx(3)
    # The Thursday, 3/7 of a turn away, has moved the mean by atan2(sin, 5 + cos) = 0.1175 days.
    assert sunday == pytest.approx(1.1175, abs=1e-4)


def test_a_habit_needs_five_amounts() -> None:
    assert weekday_deviations(0, 7, 14, 21, 28)[-1] is None


def test_a_card_used_on_every_day_of_the_week_alike_has_no_day_of_its_own() -> None:
    assert weekday_deviations(0, 1, 2, 3, 4, 5, 6, 9)[-1] is None
