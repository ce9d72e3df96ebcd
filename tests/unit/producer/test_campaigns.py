"""Each campaign shows what its name says, measured over many cases."""

from __future__ import annotations

import numpy as np
import pytest

from producer.campaigns import CAMPAIGNS
from producer.campaigns.plan import CampaignPlan
from producer.data_generator import generate
from producer.economy import draw_economy
from producer.habits import DAY_MS
from producer.merchants import CASH, MEDIANS
from producer.rows import CONTACTLESS, ECOMMERCE, MAGSTRIPE, NONE, POS, Rows

ECONOMY = draw_economy(3, 2_000, 400)
HOUR_MS = 3_600_000
START_MS = 20_450 * DAY_MS + 10 * HOUR_MS


def cases(name: str, count: int = 60) -> list[Rows]:
    campaign = next(campaign for campaign in CAMPAIGNS if campaign.name == name)
    found = [campaign.case(np.random.default_rng([5, number]), ECONOMY, START_MS, 0.3) for number in range(count)]
    return [rows.take(np.argsort(rows.time_ms, kind="stable")) for rows in found]


def ticket(rows: Rows) -> np.ndarray:
    """What the holder would usually pay at these merchants, in minor units."""
    merchants = ECONOMY.merchants
    usual = MEDIANS[merchants.trade[rows.merchant]] * merchants.price[rows.merchant] * ECONOMY.cards.level[rows.card]
    return np.asarray(usual * 100)


def test_card_testing_is_a_burst_of_small_amounts_of_many_cards_at_one_merchant() -> None:
    for rows in cases("card_testing"):
        assert len(set(rows.merchant)) == 1
        assert len(set(rows.card)) == len(rows) >= 15
        assert np.ptp(rows.time_ms) < 3 * HOUR_MS
        assert np.median(rows.amount_cents) < 1_000
        assert len(set(rows.device)) <= 3
    assert np.mean(np.concatenate([rows.response for rows in cases("card_testing")]) > 0) > 0.2


def test_a_stolen_card_is_used_near_home_small_and_contactless_first() -> None:
    found = cases("stolen_card")
    for rows in found:
        assert len(set(rows.card)) == 1
        assert set(rows.channel) == {POS}
        assert set(ECONOMY.merchants.country[rows.merchant]) == {0}
    first, last = (np.array([rows.amount_cents[at] / ticket(rows)[at] for rows in found]) for at in (0, -1))
    assert np.median(last) > 1.8 * np.median(first)
    assert np.mean([rows.entry[0] == CONTACTLESS for rows in found]) > 0.7


def test_victims_of_a_breach_are_customers_of_one_merchant_and_robbed_at_others() -> None:
    favourites = ECONOMY.cards.favourites
    for rows in cases("breached_merchant"):
        common = set.intersection(*(set(favourites[card]) for card in rows.card))
        assert common, "no common point of purchase"
        assert set(rows.channel) == {ECOMMERCE}
        assert np.ptp(rows.time_ms) <= 4 * DAY_MS
        assert len(set(rows.device)) == len(rows)


def test_an_account_takeover_has_a_new_device_and_address_and_starts_small() -> None:
    found = cases("account_takeover")
    for rows in found:
        assert len(set(rows.card)) == len(set(rows.device)) == len(set(rows.address)) == 1
        assert min(rows.device[0], rows.address[0]) >= 1 << 31  # nobody's in the population
    first, later = (
        np.concatenate([(rows.amount_cents / ticket(rows))[s] for rows in found]) for s in (slice(1), slice(1, None))
    )
    assert np.median(later) > 2.5 * np.median(first)


def test_a_counterfeit_stripe_is_swiped_where_its_holder_cannot_be() -> None:
    cards, merchants = ECONOMY.cards, ECONOMY.merchants
    for rows in cases("counterfeit"):
        assert set(rows.entry) == {MAGSTRIPE}
        degrees = np.hypot(
            merchants.latitude[rows.merchant] - cards.latitude[rows.card],
            merchants.longitude[rows.merchant] - cards.longitude[rows.card],
        )
        assert degrees.min() > 6  # more than 400 km


def test_the_holder_of_a_copied_card_goes_on_buying_at_home() -> None:
    plan = CampaignPlan.model_validate({"rate": 0.01, "campaigns": [{"name": "counterfeit", "weight": 1}]})
    part = next(generate(ECONOMY, plan, 20_450))
    fraud = part.truth["is_fraud"].to_numpy(zero_copy_only=False)
    cards = part.transactions["card_token"].to_numpy(zero_copy_only=False)
    assert set(cards[fraud]) & set(cards[~fraud])


def test_a_bust_out_grows_within_days_and_ends_with_cash() -> None:
    for rows in cases("bust_out"):
        cash = ECONOMY.merchants.trade[rows.merchant] == CASH
        assert len(set(rows.card)) == 1
        assert cash.sum() == 3
        assert np.ptp(rows.time_ms) < 14 * DAY_MS
    grown = [
        (rows.amount_cents / ticket(rows))[ECONOMY.merchants.trade[rows.merchant] != CASH] for rows in cases("bust_out")
    ]
    assert np.median([part[-3:].mean() for part in grown]) > 1.5 * np.median([part[:3].mean() for part in grown])


def test_mules_share_devices_and_merchants() -> None:
    for rows in cases("mule_ring"):
        assert len(set(rows.card)) <= 4
        assert len(set(rows.device)) <= 2
        assert len(set(rows.merchant)) <= 3
        assert np.ptp(rows.time_ms) <= 7 * DAY_MS


def test_a_slow_drain_stays_low_and_slow() -> None:
    for rows in cases("slow_drain"):
        assert len(set(rows.card)) == len(set(rows.merchant)) == 1
        assert rows.amount_cents.max() < 2_000
        assert len(rows) / max(1.0, np.ptp(rows.time_ms) / DAY_MS) < 4  # a day, in the mean of a case
    weeks = [np.ptp(rows.time_ms) / DAY_MS for rows in cases("slow_drain")]
    assert 10 < np.median(weeks) < 30


@pytest.mark.parametrize("name", [campaign.name for campaign in CAMPAIGNS])
def test_online_fraud_has_a_device_and_fraud_in_shops_none(name: str) -> None:
    for rows in cases(name, 10):
        assert ((rows.device == NONE) == (rows.channel != ECOMMERCE)).all()


def test_truth_names_campaign_and_case_and_the_transaction_does_not() -> None:
    part = next(
        generate(
            ECONOMY, CampaignPlan.model_validate({"rate": 0.05, "campaigns": [{"name": "drift", "weight": 1}]}), 20_450
        )
    )
    truth = [row for row in part.truth.to_pylist() if row["is_fraud"]]
    assert truth
    assert all(row["campaign"] == "drift" and row["case_id"].startswith("drift-") for row in truth)
    assert len({row["case_id"] for row in truth}) < len(truth)
    assert not {"is_fraud", "campaign", "case_id"} & set(part.transactions.schema.names)
