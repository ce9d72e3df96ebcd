"""What holds for every generated stream, whatever the seed, size and cutting."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.recordings.bad_rows import OnBadRow
from fraud.records.arrival import recorded_arrivals_ms
from fraud.records.decode import LABELS, TRANSACTIONS
from fraud.records.encode import encode
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA
from producer.campaigns import CAMPAIGNS
from producer.campaigns.plan import load_plan
from producer.config import ProducerConfig, Target
from producer.data_generator import Generated, generate, in_batches, in_spans
from producer.economy import draw_economy
from producer.source import open_source

FIRST_DAY = 20_450  # 28 December 2025
PLAN = load_plan("default")
CONFIG = ProducerConfig(
    num_transactions=0,
    skip=0,
    batch_size=150,
    rate=None,
    burst=None,
    speed=None,
    live=False,
    seed=0,
    cards=60,
    merchants=60,
    campaigns="default",
    attack=None,
    cases=1,
    start_ms=0,
    start_date=dt.date(2025, 12, 28),
    days=4,
    replay=None,
    mapping=None,
    on_bad_row=OnBadRow.FAIL,
    bad_rows=None,
    ground_truth=None,
    to=Target.STDOUT,
    output=None,
    dry_run=False,
)
seeds = st.integers(0, 2**32)


def days_of(seed: int, days: int, cards: int = 60) -> list[Generated]:
    return list(islice(generate(draw_economy(seed, cards, 60), PLAN.model_copy(update={"rate": 0.1}), FIRST_DAY), days))


def joined(parts: list[Generated]) -> tuple[pa.Table, pa.Table, pa.Table]:
    transactions, truth, labels = zip(*parts, strict=True)
    return pa.Table.from_batches(transactions), pa.Table.from_batches(truth), pa.Table.from_batches(labels)


def with_precision(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Labels as they are read: with the precision of their times as written, a millisecond."""
    place = batch.schema.get_field_index("transaction_time_precision_ms")
    if place < 0:
        return batch
    return batch.set_column(place, batch.schema.field(place), pa.array([1] * batch.num_rows, pa.int64()))


@given(seeds, st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_every_record_is_valid_unique_in_order_and_without_card_numbers(seed: int, days: int) -> None:
    transactions, truth, labels = joined(days_of(seed, days))
    assert transactions.schema == TRANSACTION_SCHEMA
    assert labels.schema == LABEL_SCHEMA
    for table, decoder in ((transactions, TRANSACTIONS), (labels, LABELS)):
        for batch in table.to_batches():
            decoded = decoder.decode(encode(batch))
            assert decoded.rejects == []
            assert decoded.batch.equals(with_precision(batch))
    ids = transactions["transaction_id"].to_pylist()
    apart = pl.DataFrame(transactions).select(pl.col("event_time").sort().diff().over("card_token", "transaction_id"))
    assert (apart["event_time"].drop_nulls() > dt.timedelta(days=1)).all()  # trace numbers come again, later
    assert ids == truth["transaction_id"].to_pylist()
    arrived = recorded_arrivals_ms(transactions, "event_time")
    assert (np.diff(arrived) >= 0).all()
    late_ms = arrived - transactions["event_time"].cast(pa.int64()).to_numpy()
    assert -3_600_000 < late_ms.min() <= late_ms.max() < 86_400_000  # within what the job accepts by default


@given(seeds, st.lists(st.integers(1, 400), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_cutting_changes_nothing_but_the_cuts(seed: int, sizes: list[int]) -> None:
    whole = days_of(seed, 4)
    uncut = joined(whole)
    for size in sizes:
        batches = list(in_batches(iter(whole), size))
        assert all(part.transactions.num_rows == size for part in batches[:-1])
        assert [a.combine_chunks() for a in joined(batches)] == [b.combine_chunks() for b in uncut]
    spans = list(in_spans(iter(whole), 3_600_000))
    assert [a.combine_chunks() for a in joined(spans)] == [b.combine_chunks() for b in uncut]


@given(seeds)
@settings(max_examples=5, deadline=None)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(seed: int) -> None:
    once, again, other = (
        [encode(part.transactions) for part in days_of(number, 2)] for number in (seed, seed, seed + 1)
    )
    assert once == again
    assert once != other


@given(seeds, st.integers(1, 400))
@settings(max_examples=15, deadline=None)
def test_a_run_that_goes_on_after_another_sends_just_the_rest(seed: int, count: int) -> None:
    config = replace(CONFIG, seed=seed)
    whole = joined(list(open_source(config, "EUR")))
    count = min(count, whole[0].num_rows - 1)  # a quiet seed has fewer, and none would be left
    first, rest = (
        joined(list(open_source(asked, "EUR")))
        for asked in (replace(config, num_transactions=count), replace(config, skip=count))
    )
    for everything, before, after in zip(whole, first, rest, strict=True):
        assert pa.concat_tables([before, after]).combine_chunks() == everything.combine_chunks()


@given(seeds)
@settings(max_examples=3, deadline=None)
def test_some_transactions_arrive_late_and_some_are_dated_ahead(seed: int) -> None:
    transactions, _, labels = joined(days_of(seed, 3, cards=2_000))
    late = pl.DataFrame(transactions).with_columns(
        late_s=(pl.col("recorded_arrival") - pl.col("event_time")).dt.total_seconds()
    )
    assert 0.0005 < (late["late_s"] > 60).mean() < 0.005  # type: ignore[operator]
    assert 0.0005 < (late["late_s"] < 0).mean() < 0.005  # type: ignore[operator]
    known = pl.DataFrame(labels).join(
        late, left_on=["card_token", "transaction_time"], right_on=["card_token", "event_time"], suffix="_of"
    )
    assert (known["label_time"] > known["recorded_arrival_of"]).all()


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_merchants_come_and_go_and_none_returns(seed: int) -> None:
    merchants = draw_economy(seed, 20, 500).merchants
    years = [set(merchants.ids(FIRST_DAY + 365 * year).to_pylist()) for year in range(12)]
    for before, after in itertools.pairwise(years):
        assert 0.05 < len(after - before) / 500 < 0.18
    assert not years[0] & years[11]


def test_runs_from_other_days_or_seeds_share_no_id() -> None:
    economies = (draw_economy(1, 60, 60), draw_economy(1, 60, 60), draw_economy(2, 60, 60))
    days = (FIRST_DAY, FIRST_DAY + 1, FIRST_DAY)
    runs = [next(generate(economy, PLAN, day)) for economy, day in zip(economies, days, strict=True)]
    ids = [id_ for part in runs for id_ in part.transactions["transaction_id"].to_pylist()]
    own = [id_ for id_ in ids if not re.fullmatch(r"\d{6}", id_)]  # but for trace numbers, of which there are a million
    assert len(set(own)) == len(own) > 100


@given(seeds, st.integers(5, 20))
@settings(max_examples=10, deadline=None)
def test_a_label_follows_its_transaction_and_is_not_given_before_it_is_due(seed: int, days: int) -> None:
    seen: set[str] = set()
    for part in days_of(seed, days):
        seen.update(part.transactions["transaction_id"].to_pylist())
        labels = pl.DataFrame(part.labels)
        assert set(labels["transaction_id"]) <= seen
        assert (labels["label_time"] > labels["transaction_time"]).all()
        if labels.height:
            day_end = (part.transactions["recorded_arrival"][-1].as_py()).date()
            assert labels["label_time"].max().date() <= day_end  # type: ignore[union-attr]


@given(seeds, st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_every_campaign_begins_at_its_start_and_is_of_its_announced_size(seed: int, progress: float) -> None:
    economy = draw_economy(seed % 7, 200, 100)
    rng = np.random.default_rng(seed)
    for campaign in CAMPAIGNS:
        rows = campaign.case(rng, economy, 1_000_000_000_000, min(1.0, progress / 5))
        assert len(rows) > 0
        assert rows.time_ms.min() >= 1_000_000_000_000
        assert rows.card.max() < 200
        assert rows.merchant.max() < 100


def test_cases_have_their_announced_mean_size() -> None:
    economy = draw_economy(1, 400, 200)
    rng = np.random.default_rng(1)
    for campaign in CAMPAIGNS:
        sizes = [len(campaign.case(rng, economy, 0, number / 400)) for number in range(400)]
        standard_error = float(np.std(sizes)) / 20
        assert abs(np.mean(sizes) - campaign.per_case) < 4 * standard_error + 0.01, campaign.name
