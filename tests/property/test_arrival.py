"""Arrival is the clock: no record, whatever its event time, changes what another one gets."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedded.simulation.feature_oracle import ms
from fraud.entities import CARD, ENTITIES
from fraud.features.aggregates import Shape
from fraud.features.catalogue import FEATURE_NAMES, LATENESS_MS, features_of
from fraud.features.kernel.layout import Flag
from fraud.path import compute_features
from fraud.records import Records
from fraud.records.arrival import CLOCK_STEP_MS, recorded_clock
from processor.keyed_state import local_copy
from tests.property.test_keyed_state import Group, new_process
from tests.support.feature_streams import TRANSACTIONS, Row, Stream, arrival, batch, streams, tables
from tests.support.paths import settings_keeping
from tests.support.records import NOON, transaction

EVERY = settings_keeping(dict.fromkeys(ENTITIES, 1_024))
NAMES = ["sequence_number", *FEATURE_NAMES, *(entity.exact_column for entity in ENTITIES)]
BY_HABITS = {f.name for f in features_of(*ENTITIES) if f.entity != CARD and f.flag & (Flag.UNUSUAL | Flag.HIGH)}
"""What the habits of other cards decide: one record more on a card can make another of its payments unusual."""

OF_OTHERS = [name for name in NAMES if name not in BY_HABITS]
WINDOWED = [
    feature
    for feature in features_of(CARD)
    if feature.aggregate.shape is Shape.WINDOW and not feature.flag & (Flag.UNUSUAL | Flag.HIGH)
]
"""But for what depends on which payments are unusual, which one record more on the card can change."""

ANY_TIME = st.integers(0, 9_200_000_000_000).map(lambda ms_: dt.datetime.fromtimestamp(ms_ / 1000, dt.UTC))


@st.composite
def streams_with_one_more(draw: st.DrawFn) -> tuple[Stream, int, Row]:
    """A stream, a place in it, and a transaction of any event time that arrives there.

    Its merchant and the like are its own: what others have in common with it, they rightly share.
    """
    stream = draw(streams())
    at = draw(st.integers(0, len(stream)))
    neighbour = stream[min(at, len(stream) - 1)][1] if stream else {"arrival_ms": 1_768_478_400_000}
    here = dt.datetime.fromtimestamp(neighbour["arrival_ms"] / 1000, dt.UTC)
    near = st.integers(-40 * 86_400, 40 * 86_400).map(lambda seconds: here + dt.timedelta(seconds=seconds))
    record = transaction(
        transaction_id="one-more",
        event_time=draw(ANY_TIME | near),
        card_token=draw(st.sampled_from(["card-1", "card-2", "card-9"])),
        billing_amount_minor=draw(st.integers(0, 10**12)),
        merchant_id="one-more",
        device_id="one-more",
        bin="999999",
        ip_address="203.0.113.9",
    )
    place = {"stream": "records", "shard": "shard-0", "sequence_number": str(at), "sub_sequence": 1}
    return (
        stream,
        at,
        {name: record.get(name) for name in TRANSACTIONS.names} | place | {"arrival_ms": neighbour["arrival_ms"]},
    )


@settings(max_examples=80, deadline=None)
@given(streams_with_one_more())
def test_one_record_more_changes_no_value_of_another_card(case: tuple[Stream, int, Row]) -> None:
    stream, at, one_more = case
    before = by_place(compute_features(*tables(stream), EVERY))
    after = by_place(compute_features(*tables([*stream[:at], ("transaction", one_more), *stream[at:]]), EVERY))
    after.pop((one_more["sequence_number"], 1), None)
    assert before.keys() == after.keys()
    for place, row in before.items():
        if row["card_token"] != one_more["card_token"]:
            assert {name: row[name] for name in OF_OTHERS} == {name: after[place][name] for name in OF_OTHERS}


def on_one_card(*days: tuple[float, float | None, int]) -> Stream:
    """Payments of one card that arrived at the same instant: days of event time and recorded arrival, and amount."""
    rows = []
    for number, (happened, recorded, amount_minor) in enumerate(days):
        record = transaction(
            transaction_id=f"t-{number}",
            event_time=NOON + dt.timedelta(days=happened),
            recorded_arrival=None if recorded is None else NOON + dt.timedelta(days=recorded),
            billing_amount_minor=amount_minor,
        )
        rows.append(("transaction", {name: record.get(name) for name in TRANSACTIONS.names} | arrival(number, NOON)))
    return rows


def one_more_on_it(days: float) -> Row:
    (_, row), *_ = on_one_card((days, None, 1_000))
    return row | {"transaction_id": "one-more", "merchant_id": "one-more", "sub_sequence": 1}


@settings(max_examples=80, deadline=None)
@given(streams_with_one_more())
@example((on_one_card((-35, -40, 1_000), (-8, -40, 1_000)), 1, one_more_on_it(9_000)))
@example(
    (on_one_card(*((hour / 24, None, 1_000) for hour in range(4)), (0.9, None, 10**9), (1, None, 9)), 4,
     one_more_on_it(-9_000))
)  # fmt: skip
def test_of_its_own_card_it_changes_the_windows_that_hold_it_and_no_others(case: tuple[Stream, int, Row]) -> None:
    stream, at, one_more = case
    before = by_place(compute_features(*tables(stream), EVERY))
    after = by_place(compute_features(*tables([*stream[:at], ("transaction", one_more), *stream[at:]]), EVERY))
    happened, latest = ms(one_more["event_time"]), clock(one_more)
    for place, row in before.items():
        time, latest = ms(row["event_time"]), max(latest, clock(row))
        if latest - time > LATENESS_MS:
            continue  # what it should have seen may be forgotten: another record of the card has arrived so much later
        for feature in WINDOWED:
            if not time - feature.delay_ms - feature.window_ms < happened <= time - feature.delay_ms:
                assert row[feature.name] == after[place][feature.name], feature.name


def clock(row: Row) -> int:
    return row["arrival_ms"] if row["recorded_arrival"] is None else ms(row["recorded_arrival"])


def by_place(table: pa.Table) -> dict[tuple[str, int], Row]:
    return {(row["sequence_number"], row["sub_sequence"]): row for row in table.to_pylist()}


@settings(max_examples=40, deadline=None)
@given(streams_with_one_more())
def test_one_record_more_makes_no_compaction_forget_another_card(case: tuple[Stream, int, Row]) -> None:
    stream, at, one_more = case
    job = settings_keeping({CARD: 1_024}, state_expiry_days=60)
    plain = [row for kind, row in stream if kind == "transaction"]
    at = min(at, len(plain))
    assert compacted(plain, at, [], job) == {
        card: keys for card, keys in compacted(plain, at, [one_more], job).items() if card != one_more["card_token"]
    } | {card: keys for card, keys in compacted(plain, at, [], job).items() if card == one_more["card_token"]}


def compacted(rows: list[Row], at: int, more: list[Row], job: Any) -> dict[str, list[Any]]:
    """The values of each card, folded in two batches, each followed by a compaction."""
    values: dict[str, list[Any]] = {}
    with TemporaryDirectory() as folder:
        new_process()
        cards = Group(Path(folder) / "card", CARD, job)
        for part in (rows[:at] + more, rows[at:]):
            transactions = batch(part, TRANSACTIONS)
            if transactions is None:
                continue
            change = cards.attempt(Records(transactions), 1)
            cards.commit(change)
            assert change.records.transactions is not None
            for row in change.records.transactions.to_pylist():
                if row["transaction_id"] != "one-more":
                    shown = [row[feature.name] for feature in features_of(CARD)]
                    values.setdefault(row["card_token"], []).append(shown)
        local_copy._opened.clear()
    return values


TIMES = st.lists(st.integers(0, 10**11), min_size=1, max_size=30)


@given(TIMES, st.integers(0, 30))
def test_a_recordings_clock_never_goes_back_however_it_is_cut(times: list[int], at: int) -> None:
    times_ms = np.array(times, np.int64)
    whole = recorded_clock(times_ms)
    assert (np.diff(whole) >= 0).all()
    first, rest = times_ms[:at], times_ms[at:]
    if len(first) and len(rest):
        begun = recorded_clock(first, rest[:2].tolist())
        assert np.concatenate([begun, recorded_clock(rest, (), int(begun[-1]))]).tolist() == whole.tolist()


@example([0, CLOCK_STEP_MS + 1], 0, CLOCK_STEP_MS + 1)
@given(TIMES, st.integers(0, 29), st.integers(-(10**12), 10**13))
def test_one_time_of_a_recording_in_order_moves_the_clock_of_no_other_record(
    times: list[int], at: int, odd: int
) -> None:
    times_ms = np.sort(np.array(times, np.int64))
    at = min(at, len(times_ms))
    moved = recorded_clock(np.insert(times_ms, at, odd))
    was, others = recorded_clock(times_ms), np.delete(moved, at)
    # Two records confirm or refute it, so it can move the clock no further than to the next record's time.
    assert (was[:-2] <= others[:-2]).all()
    assert (others[:-2] <= times_ms[1:-1]).all()
    # Behind the last two there are not two, but one of them may have the odd record's time.
    assert (others <= np.maximum(times_ms + CLOCK_STEP_MS, np.append(times_ms[1:], 0))).all()
