"""What every fraud campaign is: a way to turn a victim into fraudulent transactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from producer.economy import TRADES, Economy
from producer.rows import CHANNELS, ENTRY_MODES, NO_DEVICE, RESPONSES, Rows

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Campaign(ABC):
    """A kind of fraud. It keeps no state, so that a case is a function of its random numbers alone.

    Attributes:
        name: as ground truth and YAML name it.
        per_case: mean transactions of a case, from which the number of cases follows.
    """

    name: ClassVar[str]
    per_case: ClassVar[float]

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
    time_ms: npt.ArrayLike,
    card: npt.ArrayLike,
    merchant: npt.ArrayLike,
    amount: npt.ArrayLike,
    channel: str,
    entry: str,
    device: npt.ArrayLike = NO_DEVICE,
    response: npt.ArrayLike = 0,
) -> Rows:
    """Builds rows; scalars are repeated. Amounts are in major units."""
    times = np.asarray(time_ms, np.int64)
    n = len(times)

    def column(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        return np.broadcast_to(np.asarray(values, np.int64), n).copy()

    return Rows(
        time_ms=times,
        card=column(card),
        merchant=column(merchant),
        amount_minor=np.maximum(50, np.round(np.broadcast_to(np.asarray(amount, float), n) * 100)).astype(np.int64),
        channel=column(CHANNELS.index(channel)),
        entry=column(ENTRY_MODES.index(entry)),
        initiation=column(0),
        response=column(response),
        device=column(device),
        campaign=column(0),
        case=column(0),
    )


def victim(rng: np.random.Generator, economy: Economy) -> int:
    """A card, active ones more often."""
    weight = economy.cards.per_day
    return int(rng.choice(len(weight), p=weight / weight.sum()))


def merchants_where(
    rng: np.random.Generator, economy: Economy, which: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.int64]:
    """Merchants that fulfil a condition, popular ones more often; any where none does."""
    weight = economy.merchants.popularity * which
    if weight.sum() == 0:
        weight = economy.merchants.popularity
    return rng.choice(len(weight), count, p=weight / weight.sum()).astype(np.int64)


def selling(economy: Economy, *mccs: str, online: bool) -> npt.NDArray[np.bool_]:
    """Which merchants are of given categories, online or not."""
    trades = [number for number, trade in enumerate(TRADES) if not mccs or trade.mcc in mccs]
    return np.asarray(np.isin(economy.merchants.trade, trades) & (economy.merchants.online == online), bool)


def ticket(
    rng: np.random.Generator, economy: Economy, card: int | npt.NDArray[np.int64], merchant: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """What these cards would usually pay at these merchants, in major units."""
    trade = economy.merchants.trade[merchant]
    median = np.array([t.median for t in TRADES])[trade] * economy.merchants.price[merchant]
    spread = np.array([t.spread for t in TRADES])[trade]
    return np.asarray(median * economy.cards.level[card] * np.exp(rng.normal(0, spread)), np.float64)


def gaps(rng: np.random.Generator, start_ms: int, count: int, mean_ms: float) -> npt.NDArray[np.int64]:
    """Times of a sequence with exponential gaps."""
    return (start_ms + np.cumsum(rng.exponential(mean_ms, count))).astype(np.int64)


def new_device(rng: np.random.Generator) -> int:
    """A device that no cardholder uses."""
    return int(rng.integers(1 << 31, 1 << 40))


def some_declines(rng: np.random.Generator, count: int, share: float) -> npt.NDArray[np.int64]:
    """Response indices: a share of declines, insufficient funds or do not honour."""
    return np.where(rng.random(count) < share, rng.choice([1, 2], count), RESPONSES.index("00")).astype(np.int64)
