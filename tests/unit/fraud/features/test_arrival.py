"""What is remembered, forgotten and taken for a repeat follows arrival, by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from fraud.entities import CARD
from fraud.features.catalogue import features_of
from fraud.features.fold import EntityFold
from fraud.features.state import EntityState
from fraud.path import FeaturePath
from fraud.records import Records
from processor.keyed_state.log import replay
from tests.support.feature_streams import TRANSACTIONS
from tests.support.records import NOON, transaction

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
FAR = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def arrived(number: int, arrival: dt.datetime, **fields: Any) -> dict[str, Any]:
    """A transaction that happened when it arrived, unless it says otherwise."""
    record = transaction(**({"transaction_id": f"t-{number}", "event_time": arrival} | fields))
    place = {"stream": "s", "shard": "0", "sequence_number": str(number), "sub_sequence": 0}
    plain = {name: record.get(name) for name in TRANSACTIONS.names}
    return plain | place | {"arrival_ms": round(arrival.timestamp() * 1000)}


def folded(*rows: dict[str, Any], path: FeaturePath | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """The transactions with their features, and the sequence numbers of those taken for repeats."""
    batch = pa.RecordBatch.from_pylist(list(rows), schema=TRANSACTIONS)
    after = (path or FeaturePath()).advance(Records(batch))
    refused = [] if after.dead_letters is None else after.dead_letters["sequence_number"].to_pylist()
    return ([] if after.transactions is None else after.transactions.to_pylist()), refused


def test_a_transaction_dated_2099_leaves_its_cards_windows_as_they_are() -> None:
    rows, _ = folded(
        arrived(0, NOON), arrived(1, NOON + HOUR, event_time=FAR), arrived(2, NOON + 2 * HOUR), arrived(3, NOON + DAY)
    )
    assert [row["card_count_24h"] for row in rows] == [0, 0, 1, 1]  # noon itself is a day ago
    assert [row["card_since_last_s"] for row in rows if row["event_time"] != FAR] == [None, 7_200, 79_200]
    assert all(row["exact_card"] for row in rows)


def test_it_does_not_stand_for_where_the_card_was_last() -> None:
    here = {"merchant_lat": 50.0, "merchant_lon": 8.0}
    there = {"merchant_lat": 51.0, "merchant_lon": 8.0}  # a degree of latitude: 111.2 km
    rows, _ = folded(
        arrived(0, NOON, **here),
        arrived(1, NOON + HOUR, event_time=FAR, **there),
        arrived(2, NOON + 2 * HOUR, **here),
        arrived(3, NOON + 3 * HOUR, **here),
    )
    assert [row["card_distance_last_km"] for row in rows] == [
        None,
        *(pytest.approx(km, abs=0.1) for km in (111.2, 111.2, 0)),
    ]


def test_it_counts_as_one_transaction_in_the_decayed_count() -> None:
    rows, _ = folded(arrived(0, NOON), arrived(1, NOON, event_time=FAR), arrived(2, NOON + 6 * HOUR))
    assert rows[-1]["card_decayed_count_6h"] == 1.0  # two, half of each


@pytest.mark.parametrize("dated", [FAR, NOON - 3 * DAY, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)])
def test_an_id_that_arrives_again_within_a_day_is_a_repeat_whatever_its_date(dated: dt.datetime) -> None:
    _, refused = folded(
        arrived(0, NOON, transaction_id="t"),
        arrived(1, NOON + HOUR, event_time=FAR),
        arrived(2, NOON + 23 * HOUR, transaction_id="t", event_time=dated),
    )
    assert refused == ["2"]


def test_a_transaction_of_long_ago_is_remembered_for_a_day_as_a_repeat_needs() -> None:
    _, refused = folded(
        arrived(0, NOON),
        arrived(1, NOON, transaction_id="t", event_time=NOON - 500 * DAY),
        arrived(2, NOON + HOUR, transaction_id="t", event_time=NOON - 499 * DAY),
    )
    assert refused == ["2"]


def test_an_id_may_come_again_after_a_day_but_the_same_transaction_may_not() -> None:
    later = NOON + 25 * HOUR
    rows, refused = folded(
        arrived(0, NOON, transaction_id="t"),
        arrived(1, later, transaction_id="t"),
        arrived(2, NOON + 4 * DAY, transaction_id="t", event_time=later),
    )
    assert [row["sequence_number"] for row in rows] == ["0", "1"]
    assert refused == ["2"]


def test_a_recorded_arrival_is_the_clock_of_a_replay() -> None:
    """Two days within a second: the id may come again, and what is two days old leaves the window of a day."""
    rows, refused = folded(
        arrived(0, NOON, transaction_id="t", recorded_arrival=NOON - 300 * DAY, event_time=NOON - 300 * DAY),
        arrived(1, NOON, transaction_id="t", recorded_arrival=NOON - 298 * DAY, event_time=NOON - 298 * DAY),
    )
    assert [row["card_count_24h"] for row in rows] == [0, 0]
    assert refused == []


def test_a_log_of_the_former_version_is_refused_with_the_way_out() -> None:
    with pytest.raises(Exception, match=r"of another version: .*fraud state backfill") as found:
        replay([b"E" + bytes(8)], EntityFold(CARD, 1_024, 10**12, "EUR", features_of(CARD)), EntityState())
    assert "\n" not in str(found.value)
