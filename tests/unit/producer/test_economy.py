"""What the generated portfolio promises of cardholders, merchants and the calendar (docs/producer.md)."""

from __future__ import annotations

import datetime as dt
import unicodedata
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
from producer.rows import ACCOUNT_CHECK, PURCHASE, REFUND, REVERSAL, VOID, Rows, concat
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
    hour = (rows.time_ms - np.maximum(rows.late_ms, 0)) % 86_400_000 / 3_600_000
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
        trade.mcc: float(np.median(rows.amount_cents[ECONOMY.merchants.trade[rows.merchant] == number]))
        for number, trade in enumerate(TRADES)
    }
    assert median["5814"] < median["5411"] < median["5541"] < median["5732"] < median["4511"]
    at_grocers = ECONOMY.merchants.trade[rows.merchant] == 0
    generous = ECONOMY.cards.level[rows.card] > np.quantile(ECONOMY.cards.level, 0.8)
    assert np.median(rows.amount_cents[at_grocers & generous]) > 1.5 * np.median(
        rows.amount_cents[at_grocers & ~generous]
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
        transactions.filter(pl.col("billing_amount_minor") > 0)
        .sort("card_token", "event_time")
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
    first = cash & (rows.amount_cents % 1000 == 0)
    assert first.sum() > 0.95 * cash.sum()  # a retry with less may ask for any amount


def test_voids_and_account_checks_are_few_and_some_checks_are_purchases_of_nothing(rows: Rows) -> None:
    kinds = np.bincount(rows.kind, minlength=6) / len(rows)
    assert 0 < kinds[VOID] < 0.01
    assert 0 < kinds[ACCOUNT_CHECK] < 0.01
    nothing = rows.amount_cents == 0
    assert set(rows.kind[nothing]) == {PURCHASE, ACCOUNT_CHECK}
    assert (rows.response[nothing] > 0).any()


def test_a_few_cards_sleep_for_months() -> None:
    asleep = np.array([ECONOMY.cards.asleep(FIRST_DAY + day) for day in range(400)])
    assert 0.005 < asleep.mean() < 0.03
    woken = np.flatnonzero(asleep.any(axis=0) & ~asleep.all(axis=0))
    assert len(woken) > 0.015 * len(ECONOMY.cards)
    nights = [np.diff(np.flatnonzero(~asleep[:, card])).max() for card in woken]
    assert np.median(nights) > 90  # some wake only at the edge of these days


def test_ids_have_every_usual_form_and_trace_numbers_come_again(transactions: pl.DataFrame) -> None:
    forms = {
        "counting": r"^t11-20455-\d+$",
        "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        "hex": r"^[0-9a-f]{32}$",
        "ulid": r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        "digits": r"^\d{12}$",
        "trace": r"^\d{6}$",
    }
    ids = pl.col("transaction_id")
    shares = transactions.select([ids.str.contains(pattern).mean().alias(form) for form, pattern in forms.items()])
    found = shares.row(0, named=True)
    assert sum(found.values()) == pytest.approx(1)
    assert 0.8 < found.pop("counting") < 0.99
    assert min(found.values()) > 0
    again = (
        transactions.sort("event_time")
        .with_columns(apart=pl.col("event_time").diff().over("card_token", "transaction_id").dt.total_hours())["apart"]
        .drop_nulls()
    )
    assert len(again) > 100
    assert again.min() > 24  # type: ignore[operator]  # within a day, an id is its card's own


def test_merchants_have_names_in_many_scripts(transactions: pl.DataFrame) -> None:
    letters = "".join(transactions["merchant_name"].unique())
    scripts = {unicodedata.name(letter).split()[0] for letter in letters if letter.isalpha()}
    assert {"LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "CJK", "HANGUL", "THAI", "DEVANAGARI"} <= scripts


def test_tokens_have_more_than_one_form() -> None:
    tokens = ECONOMY.cards.tokens(FIRST_DAY).to_pylist()
    counting = [token for token in tokens if token.startswith("card-")]
    assert 0.9 < len(counting) / len(tokens) < 0.95
    assert len(set(tokens)) == len(tokens)


def test_cards_come_and_go(transactions: pl.DataFrame) -> None:
    now, later = (set(ECONOMY.cards.tokens(FIRST_DAY + day).to_pylist()) for day in (0, 365))
    assert 0.25 < len(later - now) / len(now) < 0.42  # a card lives three years
    assert set(transactions["card_token"]) > now & later & set(transactions["card_token"].head(1_000))


def test_a_population_is_a_function_of_its_seed() -> None:
    def days(economy: Economy) -> list[Any]:
        return list(genuine_day(economy, FIRST_DAY).amount_cents)

    assert days(draw_economy(3, 50, 50)) == days(draw_economy(3, 50, 50)) != days(draw_economy(4, 50, 50))
