"""A day of genuine transactions."""

from __future__ import annotations

import numpy as np

from producer.economy import CASH_MCC, TRADES, Economy
from producer.rows import CHANNELS, ENTRY_MODES, GENUINE, INITIATIONS, NO_DEVICE, OWN_DEVICE, RESPONSES, Rows, concat

DAY_MS = 86_400_000

_ATM, _POS, _ECOMMERCE, _MOTO = (CHANNELS.index(name) for name in ("atm", "pos", "ecommerce", "moto"))
_CHIP, _CONTACTLESS, _ON_FILE, _MANUAL = (
    ENTRY_MODES.index(name) for name in ("chip", "contactless", "credential_on_file", "manual")
)
_RECURRING = INITIATIONS.index("recurring")
_WEEKDAY = np.array([0.93, 0.94, 0.97, 1.0, 1.14, 1.18, 0.84])  # Monday first
_FAVOURITE_SHARE = 0.72
_RETRY_SHARE = 0.6


def genuine_day(economy: Economy, day: int) -> Rows:
    """The genuine transactions of one day (days since 1970), sorted by time; a function of the seed and the day."""
    rng = np.random.default_rng([economy.seed, 1, day])
    cards, merchants = economy.cards, economy.merchants
    weekday = (day + 3) % 7
    payday = 1.15 if day % 30 in (27, 28, 29, 0, 1) else 0.97
    count = rng.poisson(cards.per_day * _WEEKDAY[weekday] * payday)
    card = np.repeat(np.arange(len(count)), count)
    n = len(card)
    favourite = cards.favourites[card, np.minimum(rng.geometric(0.25, n) - 1, cards.favourites.shape[1] - 1)]
    anywhere = rng.choice(len(merchants.popularity), n, p=merchants.popularity / merchants.popularity.sum())
    abroad = merchants.latitude[anywhere] - cards.latitude[card]
    stays_home = (np.abs(abroad) > 4) & ~merchants.online[anywhere] & (rng.random(n) < 0.95)
    merchant = np.where((rng.random(n) < _FAVOURITE_SHARE) | stays_home, favourite, anywhere)
    trade = merchants.trade[merchant]
    online = merchants.online[merchant]
    hour = rng.normal(cards.peak_hour[card], 3.6, n) % 24
    opens = np.array([t.opens for t in TRADES], float)[trade]
    outside = (hour < opens[:, 0]) | (hour > opens[:, 1])
    hour = np.where(outside & ~online, opens[:, 0] + rng.random(n) * (opens[:, 1] - opens[:, 0]), hour)
    time_ms = day * DAY_MS + np.minimum((hour * 3_600_000).astype(np.int64), DAY_MS - 1)
    median = np.array([t.median for t in TRADES])[trade]
    spread = np.array([t.spread for t in TRADES])[trade]
    amount = median * merchants.price[merchant] * cards.level[card] * np.exp(rng.normal(0, spread, n))
    cash = trade == [t.mcc for t in TRADES].index(CASH_MCC)
    amount = np.where(cash, np.maximum(10, np.round(amount / 10) * 10), amount)
    channel = np.where(cash, _ATM, np.where(online, np.where(rng.random(n) < 0.03, _MOTO, _ECOMMERCE), _POS))
    recurring = (trade == [t.mcc for t in TRADES].index("5968")) & (rng.random(n) < 0.8)
    entry = np.where(
        channel == _ECOMMERCE,
        _ON_FILE,
        np.where(channel == _MOTO, _MANUAL, np.where(rng.random(n) < 0.62, _CONTACTLESS, _CHIP)),
    )
    entry = np.where(cash, _CHIP, entry)
    entry = np.where((channel == _POS) & (rng.random(n) < 0.012), ENTRY_MODES.index("magstripe"), entry)
    declined = rng.random(n) < 0.035
    foreign_device = rng.random(n) < 0.03
    rows = Rows(
        time_ms=time_ms,
        card=card,
        merchant=merchant,
        amount_minor=np.maximum(50, np.round(amount * 100)).astype(np.int64),
        channel=channel,
        entry=entry,
        initiation=np.where(recurring, _RECURRING, 0),
        response=np.where(declined, rng.choice([1, 2, 4], n, p=[0.7, 0.25, 0.05]), 0),
        device=np.where(
            channel == _ECOMMERCE, np.where(foreign_device, rng.integers(0, 1 << 30, n), OWN_DEVICE), NO_DEVICE
        ),
        campaign=np.full(n, GENUINE),
        case=np.zeros(n, np.int64),
    )
    retried = np.flatnonzero(declined & (rng.random(n) < _RETRY_SHARE))
    return _with_retries(rows, retried, rng)


def _with_retries(rows: Rows, retried: np.ndarray, rng: np.random.Generator) -> Rows:
    again = rows.take(retried)
    later = again.time_ms + rng.integers(15_000, 120_000, len(again))
    accepted = np.where(rng.random(len(again)) < 0.7, RESPONSES.index("00"), again.response)
    again = Rows(**{**again.__dict__, "time_ms": later, "response": accepted})
    both = concat([rows, again])
    return both.take(np.argsort(both.time_ms, kind="stable"))
