"""The card economy: cardholders with habits, and merchants with prices, drawn once from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from producer.merchants import Merchants, draw_merchants
from producer.population import Cards, draw_cards


@dataclass(frozen=True)
class Economy:
    """All that does not change from day to day."""

    seed: int
    cards: Cards
    merchants: Merchants


def draw_economy(seed: int, cards: int, merchants: int) -> Economy:
    """Draws the population of a seed; the same arguments give the same one."""
    rng = np.random.default_rng([seed, 0])
    shops = draw_merchants(rng, merchants)
    return Economy(seed, draw_cards(rng, cards, shops), shops)
