"""What the generated portfolio promises of cardholders, merchants and the calendar (docs/producer.md)."""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from producer.campaigns.plan import CampaignPlan
from producer.data_generator import generate
from producer.economy import Economy, draw_economy
from producer.habits import genuine_day
from producer.merchants import CASH, OPENS, TRADES
from producer.rows import REFUND, REVERSAL, Rows, concat
from producer.season import season_of

ECONOMY = draw_economy(17, 2_000, 600)
FIRST_DAY = 20_455  # 2 January 2026, a Friday
DAYS = 35
NO_FRAUD = CampaignPlan(rate=0.0, campaigns=())


def day_of(year: int, month: int, day: int) -> int:
    return (dt.date(year, month, day) - dt.date(1970, 1, 1)).days


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Five weeks of 2,000 cards without fraud."""
    return concat([genuine_day(ECONOMY, FIRST_DAY + day) for day in range(DAYS)])


@pytest.fixture(scope="module")
def transactions() -> pl.DataFrame:
    """The same as transactions."""
    parts = islice(generate(ECONOMY, NO_FRAUD, FIRST_DAY), DAYS)
    return pl.DataFrame(pa.Table.from_batches([part.transactions for part in parts]))


def test_age_sets_frequency_and_hours() -> None:
    cards = ECONOMY.cards
    young, old = cards.age_band == 1, cards.age_band == 4
    assert cards.per_day[young].mean() > 1.5 * cards.per_day[old].mean()
    assert cards.peak_hour[young].mean() > cards.peak_hour[old].mean() + 3
    assert cards.online[young].mean() > 2 * cards.online[old].mean()


def test_some_holders_have_several_cards_and_some_households_share_devices() -> None:
    holders, devices = (np.bincount(owner) for owner in (ECONOMY.cards.holder, ECONOMY.cards.device_of))
    assert 0.10 < (holders >= 2).mean() < 0.20
    shared = ECONOMY.cards.device_of != ECONOMY.cards.holder
    assert 0.03 < shared.mean() < 0.09
    assert devices.max() >= 2


def test_merchant_sizes_have_a_heavy_tail() -> None:
    largest_first = np.sort(draw_economy(17, 20, 5_000).merchants.popularity)[::-1]
    assert largest_first[:50].sum() > 0.3  # one in a hundred
    assert largest_first[2_500:].sum() < 0.2  # the smaller half


def test_shops_sell_in_their_opening_hours_only(rows: Rows) -> None:
    trade = ECONOMY.merchants.trade[rows.merchant]
    hour = rows.time_ms % 86_400_000 / 3_600_000
    in_shop = ~ECONOMY.merchants.online[rows.merchant] & (rows.kind < REFUND)
    retried = 120_000 / 3_600_000  # a retry may come after closing time
    late = in_shop & ((hour < OPENS[trade, 0]) | (hour > OPENS[trade, 1] + retried))
    assert late.sum() == 0
    night = ECONOMY.merchants.online[rows.merchant] & (hour < 5)
    assert night.sum() > 0


def test_physical_merchants_have_terminals_and_those_at_a_distance_none(transactions: pl.DataFrame) -> None:
    shop = pl.col("channel").is_in(["pos", "atm"])
    assert transactions.filter(shop)["terminal_id"].null_count() == 0
    assert transactions.filter(~shop)["terminal_id"].drop_nulls().is_empty()
    of_one = transactions.filter(shop).group_by("merchant_id").agg(pl.col("terminal_id").n_unique())
    assert of_one["terminal_id"].to_numpy().max() > 3


def test_tickets_follow_category_and_cardholder(rows: Rows) -> None:
    median = {
        trade.mcc: float(np.median(rows.amount_minor[ECONOMY.merchants.trade[rows.merchant] == number]))
        for number, trade in enumerate(TRADES)
    }
    assert median["5814"] < median["5411"] < median["5541"] < median["5732"] < median["4511"]
    at_grocers = ECONOMY.merchants.trade[rows.merchant] == 0
    generous = ECONOMY.cards.level[rows.card] > np.quantile(ECONOMY.cards.level, 0.8)
    assert np.median(rows.amount_minor[at_grocers & generous]) > 1.5 * np.median(
        rows.amount_minor[at_grocers & ~generous]
    )


def test_the_calendar_moves_activity() -> None:
    saturday, monday, sunday = (season_of(day_of(2026, 3, day)).activity for day in (14, 16, 15))
    assert saturday > monday > sunday
    assert season_of(day_of(2026, 3, 26)).activity > season_of(day_of(2026, 3, 19)).activity  # pay day, both Thursdays
    assert season_of(day_of(2026, 12, 22)).activity > 1.2 * season_of(day_of(2026, 11, 24)).activity  # Tuesdays
    assert season_of(day_of(2026, 12, 25)).activity < 0.5 * season_of(day_of(2026, 12, 18)).activity  # Fridays
    assert season_of(day_of(2026, 8, 3)).travel > 2 * season_of(day_of(2026, 1, 3)).travel


def test_weekdays_show_in_what_is_generated(transactions: pl.DataFrame) -> None:
    by_day = transactions["event_time"].dt.weekday().value_counts(sort=False).sort("event_time")["count"].to_list()
    assert by_day[5] > 1.15 * by_day[0]  # Saturdays, Mondays


def test_travellers_pay_abroad_and_most_trips_are_longer_than_a_day() -> None:
    trips = ECONOMY.cards.trips
    away = np.array([trips.destination(day, season_of(day).travel) >= 0 for day in range(FIRST_DAY, FIRST_DAY + 365)])
    assert 0.02 < away.mean() < 0.10
    starts = (away[1:] & ~away[:-1]).sum()
    assert away.sum() / starts > 3


def test_abroad_is_where_travellers_are(transactions: pl.DataFrame) -> None:
    shops = transactions.filter(pl.col("channel") == "pos", pl.col("transaction_type") == "purchase")
    abroad = (shops["merchant_country"] != "DE").to_numpy().mean()
    assert 0.01 < abroad < 0.12


def test_subscriptions_recur_monthly_with_the_same_amount(transactions: pl.DataFrame) -> None:
    recurring = transactions.filter(pl.col("initiation") == "recurring")
    of_one = recurring.group_by("card_token", "merchant_id", "billing_amount_minor").agg(pl.col("event_time").dt.date())
    assert recurring.height > 1_000
    assert (recurring["billing_amount_minor"] % 100 == 99).all()
    twice = of_one.filter(pl.col("event_time").list.len() == 2)  # five weeks hold a month and five days
    days = twice["event_time"].list.diff().list.last().dt.total_days().to_numpy()
    assert (days == 30).mean() > 0.8  # the others pay the same for two things


def test_declines_are_tried_again_soon_sometimes_with_less(transactions: pl.DataFrame) -> None:
    declined = (transactions["response_code"] != "00").to_numpy().mean()
    assert 0.03 < declined < 0.06
    again = (
        transactions.sort("card_token", "event_time")
        .with_columns(
            before=pl.col("response_code").shift().over("card_token"),
            shop=pl.col("merchant_id").shift().over("card_token"),
            wait=pl.col("event_time").diff().over("card_token").dt.total_seconds(),
            share=pl.col("billing_amount_minor") / pl.col("billing_amount_minor").shift().over("card_token"),
        )
        .filter(pl.col("before") != "00", pl.col("merchant_id") == pl.col("shop"), pl.col("wait") <= 120)
    )
    assert again.height > 0.4 * transactions.height * declined
    share = again["share"].to_numpy()
    assert 0.1 < (share < 0.95).mean() < 0.35
    assert (share <= 1.001).mean() > 0.99


def test_refunds_and_reversals_exist_and_cash_comes_in_tens(rows: Rows) -> None:
    kinds = np.bincount(rows.kind, minlength=4) / len(rows)
    assert 0 < kinds[REVERSAL] < 0.01
    assert 0 < kinds[REFUND] < 0.03
    cash = (ECONOMY.merchants.trade[rows.merchant] == CASH) & (rows.response == 0)
    first = cash & (rows.amount_minor % 1000 == 0)
    assert first.sum() > 0.95 * cash.sum()  # a retry with less may ask for any amount


def test_cards_come_and_go(transactions: pl.DataFrame) -> None:
    now, later = (set(ECONOMY.cards.tokens(FIRST_DAY + day).to_pylist()) for day in (0, 365))
    assert 0.25 < len(later - now) / len(now) < 0.42  # a card lives three years
    assert set(transactions["card_token"]) > now & later & set(transactions["card_token"].head(1_000))


def test_a_population_is_a_function_of_its_seed() -> None:
    def days(economy: Economy) -> list[Any]:
        return list(genuine_day(economy, FIRST_DAY).amount_minor)

    assert days(draw_economy(3, 50, 50)) == days(draw_economy(3, 50, 50)) != days(draw_economy(4, 50, 50))
