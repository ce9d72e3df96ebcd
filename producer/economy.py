"""The card economy: cardholders with habits, and merchants with prices, drawn once from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trade:
    """A kind of merchant.

    Attributes:
        mcc: merchant category code.
        share: of a portfolio's transactions.
        median: usual ticket in the base currency.
        spread: of the ticket's logarithm.
        online: share of its merchants that sell online.
        opens: first and last hour of its business day.
    """

    mcc: str
    share: float
    median: float
    spread: float
    online: float
    opens: tuple[int, int]


TRADES = (
    Trade("5411", 0.27, 24.0, 0.75, 0.03, (7, 22)),  # grocery stores
    Trade("5812", 0.11, 26.0, 0.60, 0.02, (11, 23)),  # restaurants
    Trade("5814", 0.12, 9.0, 0.55, 0.05, (6, 23)),  # fast food
    Trade("5541", 0.07, 45.0, 0.45, 0.0, (5, 23)),  # service stations
    Trade("4111", 0.07, 4.0, 0.70, 0.35, (5, 23)),  # local transport
    Trade("5912", 0.05, 16.0, 0.70, 0.08, (8, 20)),  # pharmacies
    Trade("5311", 0.04, 38.0, 0.80, 0.25, (9, 20)),  # department stores
    Trade("5651", 0.05, 48.0, 0.70, 0.45, (9, 20)),  # clothing
    Trade("5732", 0.025, 110.0, 1.05, 0.55, (9, 20)),  # electronics
    Trade("5942", 0.02, 19.0, 0.60, 0.60, (9, 20)),  # books
    Trade("5967", 0.02, 15.0, 0.80, 1.0, (0, 24)),  # direct marketing, content
    Trade("5816", 0.03, 12.0, 0.85, 1.0, (0, 24)),  # games
    Trade("5968", 0.04, 12.0, 0.45, 1.0, (0, 24)),  # subscriptions
    Trade("7011", 0.02, 130.0, 0.65, 0.5, (0, 24)),  # hotels
    Trade("4511", 0.01, 210.0, 0.75, 0.95, (0, 24)),  # airlines
    Trade("5944", 0.005, 180.0, 1.0, 0.3, (9, 19)),  # jewellery
    Trade("6011", 0.05, 100.0, 0.60, 0.0, (0, 24)),  # cash machines
)
CASH_MCC = "6011"

COUNTRIES = (
    ("DE", 51.2, 10.4, 0.55),
    ("FR", 46.6, 2.4, 0.14),
    ("NL", 52.2, 5.3, 0.09),
    ("ES", 40.2, -3.6, 0.08),
    ("IT", 42.8, 12.8, 0.07),
    ("GB", 52.6, -1.5, 0.04),
    ("US", 39.8, -98.6, 0.02),
    ("TR", 39.0, 35.2, 0.01),
)
"""Country, latitude, longitude and share of merchants; cardholders live in the first."""

_SPREAD_DEGREES = 1.6
_FAVOURITES = 12


@dataclass(frozen=True)
class Merchants:
    """Merchants as columns (m).

    `hour_weight` is (m, 24), its rows sum to 1; `popularity` sums to 1 and has a heavy tail.
    """

    ids: pa.Array
    mcc: pa.Array
    country: pa.Array
    trade: Ints
    latitude: Floats
    longitude: Floats
    online: npt.NDArray[np.bool_]
    price: Floats
    popularity: Floats


@dataclass(frozen=True)
class Cards:
    """Cards as columns (c).

    Attributes:
        tokens: card tokens.
        customers: their holders; some hold two cards.
        devices: the usual device; some are shared in a household.
        latitude: of the home.
        longitude: of the home.
        per_day: mean transactions a day.
        level: factor on every ticket.
        favourites: merchants used again and again (c, k).
        peak_hour: around which the holder's day is centred.
    """

    tokens: pa.Array
    customers: pa.Array
    devices: pa.Array
    bins: pa.Array
    latitude: Floats
    longitude: Floats
    per_day: Floats
    level: Floats
    favourites: Ints
    peak_hour: Floats


@dataclass(frozen=True)
class Economy:
    """All that does not change from day to day."""

    seed: int
    cards: Cards
    merchants: Merchants


def draw_economy(seed: int, cards: int, merchants: int) -> Economy:
    """Draws the population of a seed; the same arguments give the same one."""
    rng = np.random.default_rng([seed, 0])
    shops = _draw_merchants(rng, merchants)
    return Economy(seed, _draw_cards(rng, cards, shops), shops)


def _draw_merchants(rng: np.random.Generator, count: int) -> Merchants:
    shares = np.array([trade.share for trade in TRADES])
    # Every trade has a merchant, whatever the size of the economy.
    trade = np.concatenate([np.arange(len(TRADES)), rng.choice(len(TRADES), count, p=shares / shares.sum())])[:count]
    online = rng.random(count) < np.array([t.online for t in TRADES])[trade]
    abroad = np.array([share for *_, share in COUNTRIES])
    country = rng.choice(len(COUNTRIES), count, p=abroad / abroad.sum())
    size = rng.pareto(1.1, count) + 0.2
    in_trade = np.bincount(trade, weights=size, minlength=len(TRADES))
    return Merchants(
        ids=_names("merchant", count),
        mcc=pa.array([TRADES[t].mcc for t in trade]),
        country=pa.array([COUNTRIES[c][0] for c in country]),
        trade=trade.astype(np.int64),
        latitude=np.array([COUNTRIES[c][1] for c in country]) + rng.normal(0, _SPREAD_DEGREES, count),
        longitude=np.array([COUNTRIES[c][2] for c in country]) + rng.normal(0, _SPREAD_DEGREES, count),
        online=online,
        price=np.exp(rng.normal(0, 0.35, count)),
        popularity=size / in_trade[trade] * (shares / shares[np.unique(trade)].sum())[trade],
    )


def _draw_cards(rng: np.random.Generator, count: int, merchants: Merchants) -> Cards:
    customer = np.where(rng.random(count) < 0.15, np.maximum(np.arange(count) - 1, 0), np.arange(count))
    device = np.where(rng.random(count) < 0.06, np.maximum(np.arange(count) - 2, 0), customer)
    home = np.array([country == "DE" for country in merchants.country.to_pylist()])
    near = merchants.popularity * np.where(home, 1.0, 0.02)
    names = _names("customer", count)
    bins = pa.array(["41111100", "52345600", "47123400", "55667700"])
    return Cards(
        tokens=_names("card", count),
        customers=names.take(pa.array(customer)),
        devices=_names("device", count).take(pa.array(device)),
        bins=bins.take(pa.array(rng.integers(0, len(bins), count))),
        latitude=COUNTRIES[0][1] + rng.normal(0, _SPREAD_DEGREES, count),
        longitude=COUNTRIES[0][2] + rng.normal(0, _SPREAD_DEGREES, count),
        per_day=rng.gamma(1.6, 1.1, count) + 0.1,
        level=np.exp(rng.normal(0, 0.45, count)),
        favourites=rng.choice(len(near), (count, _FAVOURITES), p=near / near.sum()),
        peak_hour=rng.normal(15.0, 2.5, count),
    )


def _names(stem: str, count: int) -> pa.Array:
    return pa.array([f"{stem}-{number:07d}" for number in range(count)])
