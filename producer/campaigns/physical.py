"""Campaigns with a card in hand."""

from __future__ import annotations

import numpy as np

from producer.campaigns.base import (
    HOUR_MS,
    Campaign,
    at_home,
    by_day,
    gaps,
    merchants_where,
    rows,
    selling,
    some_declines,
    ticket,
    victim,
)
from producer.economy import Economy
from producer.merchants import CASH_MCC
from producer.rows import CHIP, CONTACTLESS, Rows, concat

_FAR_DEGREES = 6.0
_NO_PIN_LIMIT = 50.0
"""Contactless amounts above it ask for the PIN, which a thief sometimes has seen."""


class StolenCard(Campaign):
    """A stolen physical card is used near home until it is blocked: small and contactless first, then larger."""

    name = "stolen_card"
    per_case = 6.0

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(3, 10))
        shops = merchants_where(rng, economy, selling(economy, online=False) & at_home(economy), count)
        amounts = ticket(rng, economy, card, shops) * np.linspace(0.8, 2.6, count)
        times = by_day(gaps(rng, start_ms, count, 0.6 * HOUR_MS))
        used = rows(times, card, shops, amounts, "pos", "contactless", response=some_declines(rng, count, 0.08))
        return used.but(entry=np.where((amounts > _NO_PIN_LIMIT) & (rng.random(count) < 0.5), CHIP, CONTACTLESS))


class Counterfeit(Campaign):
    """A copied magnetic stripe is used far from home while the card is at home: impossible travel."""

    name = "counterfeit"
    per_case = 5.0

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(3, 8))
        far = np.hypot(
            economy.merchants.latitude - economy.cards.latitude[card],
            economy.merchants.longitude - economy.cards.longitude[card],
        )
        shops = merchants_where(rng, economy, selling(economy, online=False) & (far > _FAR_DEGREES), count)
        times = by_day(gaps(rng, start_ms, count, 1.2 * HOUR_MS))
        amounts = ticket(rng, economy, card, shops) * rng.uniform(1.0, 2.2, count)
        return rows(times, card, shops, amounts, "pos", "magstripe", response=some_declines(rng, count, 0.12))


class BustOut(Campaign):
    """A card of good standing is run up to its limit within days, and never paid."""

    name = "bust_out"
    per_case = 16.5

    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """See `Campaign`."""
        card, count = victim(rng, economy), int(rng.integers(8, 20))
        goods = selling(economy, "5732", "5944", "5311", online=False) & at_home(economy)
        cash = selling(economy, CASH_MCC, online=False) & at_home(economy)
        shops = merchants_where(rng, economy, goods, count)
        machines = merchants_where(rng, economy, cash, 3)
        bought = rows(
            by_day(gaps(rng, start_ms, count, 4 * HOUR_MS)),
            card,
            shops,
            ticket(rng, economy, card, shops) * np.linspace(1.2, 3.0, count),
            "pos",
            "chip",
            response=some_declines(rng, count, 0.1),
        )
        drawn = rows(gaps(rng, start_ms, 3, 20 * HOUR_MS), card, machines, rng.integers(2, 7, 3) * 100, "atm", "chip")
        return concat([bought, drawn])
