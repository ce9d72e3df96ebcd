"""What every fraud campaign is: a way to turn a victim into fraudulent transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from producer.economy import Economy
from producer.merchants import MEDIANS, SPREADS, TRADES, Bools, Floats, Ints
from producer.rows import (
    CHANNELS,
    ENTRY_MODES,
    NONE,
    PURCHASE,
    RESPONSES,
    UNCHECKED,
    WITHDRAWAL,
    Rows,
    cents,
    filled,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_SHOPS_OPEN_MS = 8 * HOUR_MS

MAX_NUMBER = 10**11
"""Numbers in names stay shorter than 13 digits, so that none can look like a card number."""


class Campaign(ABC):
    """A kind of fraud. It keeps no state, so that a case is a function of its random numbers alone.

    Attributes:
        name: as ground truth and YAML name it.
        per_case: mean transactions of a case, from which the number of cases follows.
        knows: chance that the fraudster passes a check of address, security code or 3-D Secure.
    """

    name: ClassVar[str]
    per_case: ClassVar[float]
    knows: ClassVar[float] = 0.9

    @abstractmethod
    def case(self, rng: np.random.Generator, economy: Economy, start_ms: int, progress: float) -> Rows:
        """The transactions of one case.

        Args:
            rng: of this case alone.
            economy: victims and merchants.
            start_ms: when it begins.
            progress: how far the campaign has run, 0 to 1; for campaigns that change.
        """


def rows(
    time_ms: Ints,
    card: npt.ArrayLike,
    merchant: npt.ArrayLike,
    amount: npt.ArrayLike,
    channel: str,
    entry: str,
    device: npt.ArrayLike = NONE,
    address: npt.ArrayLike = NONE,
    response: npt.ArrayLike = 0,
) -> Rows:
    """Builds rows; scalars are repeated. Amounts are in major units."""
    n = len(time_ms)
    return Rows(
        time_ms=filled(time_ms, n),
        late_ms=filled(0, n),
        card=filled(card, n),
        merchant=filled(merchant, n),
        amount_cents=filled(cents(amount), n),
        kind=filled(WITHDRAWAL if channel == "atm" else PURCHASE, n),
        channel=filled(CHANNELS.index(channel), n),
        entry=filled(ENTRY_MODES.index(entry), n),
        initiation=filled(0, n),
        response=filled(response, n),
        device=filled(device, n),
        address=filled(address, n),
        avs=filled(UNCHECKED, n),
        cvv=filled(UNCHECKED, n),
        three_ds=filled(UNCHECKED, n),
        campaign=filled(0, n),
        case=filled(0, n),
    )


def victim(rng: np.random.Generator, economy: Economy) -> int:
    """A card, active ones more often."""
    weight = economy.cards.per_day
    return int(rng.choice(len(weight), p=weight / weight.sum()))


def merchants_where(rng: np.random.Generator, economy: Economy, which: Bools, count: int) -> Ints:
    """Merchants that fulfil a condition, popular ones more often; any where none does."""
    weight = economy.merchants.popularity * which
    if weight.sum() == 0:
        weight = economy.merchants.popularity
    return rng.choice(len(weight), count, p=weight / weight.sum()).astype(np.int64)


def selling(economy: Economy, *mccs: str, online: bool) -> Bools:
    """Which merchants are of given categories, online or not."""
    trades = [number for number, trade in enumerate(TRADES) if not mccs or trade.mcc in mccs]
    return np.asarray(np.isin(economy.merchants.trade, trades) & (economy.merchants.online == online), bool)


def at_home(economy: Economy) -> Bools:
    """Which merchants are in the cardholders' country."""
    return np.asarray(economy.merchants.country == 0, bool)


def ticket(rng: np.random.Generator, economy: Economy, card: int | Ints, merchant: Ints) -> Floats:
    """What these cards would usually pay at these merchants, in major units."""
    trade = economy.merchants.trade[merchant]
    median = MEDIANS[trade] * economy.merchants.price[merchant]
    return np.asarray(median * economy.cards.level[card] * np.exp(rng.normal(0, SPREADS[trade])), np.float64)


def gaps(rng: np.random.Generator, start_ms: int, count: int, mean_ms: float) -> Ints:
    """Times of a sequence with exponential gaps."""
    return (start_ms + np.cumsum(rng.exponential(mean_ms, count))).astype(np.int64)


def by_day(time_ms: Ints) -> Ints:
    """Times with those of the small hours moved to the day, when shops are open."""
    early = time_ms % DAY_MS < _SHOPS_OPEN_MS
    return np.asarray(np.where(early, time_ms + _SHOPS_OPEN_MS, time_ms), np.int64)


def new_device(rng: np.random.Generator) -> int:
    """A device that no cardholder uses."""
    return int(rng.integers(1 << 31, MAX_NUMBER))


def new_address(rng: np.random.Generator) -> int:
    """A shipping address that no cardholder lives at."""
    return int(rng.integers(1 << 31, MAX_NUMBER))


def some_declines(rng: np.random.Generator, count: int, share: float) -> Ints:
    """Response indices: a share of declines, insufficient funds or do not honour."""
    return np.where(rng.random(count) < share, rng.choice([1, 2], count), RESPONSES.index("00")).astype(np.int64)
