"""Campaigns without a card in hand."""

from __future__ import annotations

import numpy as np

from producer.campaigns.base import (
    DAY_MS,
    HOUR_MS,
    MAX_NUMBER,
    Campaign,
    gaps,
    merchants_where,
    new_address,
    new_device,
    rows,
    selling,
    some_declines,
    ticket,
    victim,
)
from producer.economy import Economy
from producer.rows import OWN, Rows


class CardTesting(Campaign):
    """Many stolen card numbers are tried with small amounts at one online merchant, minutes apart."""

    name = "card_testing"
    per_case = 25.0
    knows = 0.45

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        count = min(int(rng.integers(15, 36)), len(economy.cards))
        shop = merchants_where(rng, economy, selling(economy, online=True), 1)[0]
        tried = rng.choice(len(economy.cards), count, replace=False)
        times = gaps(rng, start_ms, count, 90_000)
        amounts = rng.lognormal(1.2, 0.6, count)
        devices = rng.integers(1 << 31, MAX_NUMBER, 3)[rng.integers(0, 3, count)]
        declines = some_declines(rng, count, 0.35)
        return rows(times, tried, shop, amounts, "ecommerce", "manual", devices, response=declines)


class BreachedMerchant(Campaign):
    """Card data stolen at one merchant (the common point of purchase) is used online days later."""

    name = "breached_merchant"
    per_case = 17.5
    knows = 0.8

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        point = int(merchants_where(rng, economy, selling(economy, online=True), 1)[0])
        customers = np.flatnonzero((economy.cards.favourites == point).any(axis=1))
        if not len(customers):
            customers = np.array([victim(rng, economy)])
        used = rng.choice(customers, int(rng.integers(8, 28)))
        shops = merchants_where(rng, economy, selling(economy, online=True), len(used))
        times = (start_ms + rng.uniform(0, 4 * DAY_MS, len(used))).astype(np.int64)
        amounts = ticket(rng, economy, used, shops) * rng.uniform(0.8, 2.0, len(used))
        devices = rng.integers(1 << 31, MAX_NUMBER, len(used))
        declines = some_declines(rng, len(used), 0.12)
        return rows(times, used, shops, amounts, "ecommerce", "manual", devices, devices + 1, declines)


class AccountTakeover(Campaign):
    """An account gets a new device and address; after a small order come large ones."""

    name = "account_takeover"
    per_case = 5.0
    knows = 0.95

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(3, 8))
        shops = merchants_where(rng, economy, selling(economy, "5732", "5651", "5311", "4511", online=True), count)
        amounts = ticket(rng, economy, card, shops) * np.concatenate([[0.4], rng.uniform(1.2, 2.8, count - 1)])
        times = gaps(rng, start_ms, count, 2.5 * HOUR_MS)
        return rows(times, card, shops, amounts, "ecommerce", "credential_on_file", new_device(rng), new_address(rng))


class MuleRing(Campaign):
    """A few accounts with common devices pass money through the same merchants for a week."""

    name = "mule_ring"
    per_case = 20.5

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        count = int(rng.integers(12, 30))
        mules = rng.choice(len(economy.cards), 4)[rng.integers(0, 4, count)]
        devices = np.array([new_device(rng), new_device(rng)])[rng.integers(0, 2, count)]
        shops = merchants_where(rng, economy, selling(economy, online=True), 3)[rng.integers(0, 3, count)]
        times = (start_ms + rng.uniform(0, 7 * DAY_MS, count)).astype(np.int64)
        amounts = ticket(rng, economy, mules, shops) * rng.uniform(1.0, 1.8, count)
        return rows(times, mules, shops, amounts, "ecommerce", "credential_on_file", devices, new_address(rng))


class SlowDrain(Campaign):
    """Low amounts at intervals of a day or so, beneath any naive limit, for weeks."""

    name = "slow_drain"
    per_case = 16.0

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(8, 25))
        shop = merchants_where(rng, economy, selling(economy, "5816", "5967", "5968", online=True), 1)[0]
        times = gaps(rng, start_ms, count, 26 * HOUR_MS)
        amounts = rng.uniform(4, 19, count)
        return rows(times, card, shop, amounts, "ecommerce", "credential_on_file", new_device(rng))


class Drift(Campaign):
    """Changes tactics half-way: first quick large orders of electronics, then small ones of games from own devices."""

    name = "drift"
    per_case = 7.0

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(4, 11))
        if progress < 0.5:
            shops = merchants_where(rng, economy, selling(economy, "5732", online=True), count)
            amounts = ticket(rng, economy, card, shops) * rng.uniform(1.3, 2.5, count)
            times = gaps(rng, start_ms, count, 0.7 * HOUR_MS)
            return rows(times, card, shops, amounts, "ecommerce", "manual", new_device(rng), new_address(rng))
        shops = merchants_where(rng, economy, selling(economy, "5816", online=True), count)
        times = gaps(rng, start_ms, count, 9 * HOUR_MS)
        return rows(times, card, shops, rng.uniform(9, 40, count), "ecommerce", "credential_on_file", OWN)
