"""Merchants: what they sell, where, at which prices, how popular they are, and their coming and going.

There is a fixed number of shops. A shop changes hands every few years: the merchant leaves and another of the same
trade comes, with new terminals. Who runs a shop on a day follows from the day alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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
        returned: share of its purchases that are given back.
    """

    mcc: str
    share: float
    median: float
    spread: float
    online: float
    opens: tuple[int, int]
    returned: float = 0.0


TRADES = (
    Trade("5411", 0.27, 24.0, 0.75, 0.03, (7, 22)),  # grocery stores
    Trade("5812", 0.11, 26.0, 0.60, 0.02, (11, 23)),  # restaurants
    Trade("5814", 0.12, 9.0, 0.55, 0.05, (6, 23)),  # fast food
    Trade("5541", 0.07, 45.0, 0.45, 0.0, (5, 23)),  # service stations
    Trade("4111", 0.07, 4.0, 0.70, 0.35, (5, 23)),  # local transport
    Trade("5912", 0.05, 16.0, 0.70, 0.08, (8, 20)),  # pharmacies
    Trade("5311", 0.05, 38.0, 0.80, 0.35, (9, 20), 0.04),  # department stores
    Trade("5651", 0.06, 48.0, 0.70, 0.55, (9, 20), 0.12),  # clothing
    Trade("5732", 0.03, 110.0, 1.05, 0.60, (9, 20), 0.05),  # electronics
    Trade("5942", 0.03, 19.0, 0.60, 0.70, (9, 20), 0.02),  # books
    Trade("5967", 0.02, 15.0, 0.80, 1.0, (0, 24)),  # direct marketing, content
    Trade("5816", 0.03, 12.0, 0.85, 1.0, (0, 24)),  # games
    Trade("5968", 0.02, 12.0, 0.45, 1.0, (0, 24)),  # subscriptions, beside those of each card
    Trade("7011", 0.02, 130.0, 0.65, 0.5, (0, 24), 0.03),  # hotels
    Trade("4511", 0.01, 210.0, 0.75, 0.95, (0, 24), 0.02),  # airlines
    Trade("5944", 0.005, 180.0, 1.0, 0.3, (9, 19), 0.03),  # jewellery
    Trade("6011", 0.05, 100.0, 0.60, 0.0, (0, 24)),  # cash machines
)
CASH_MCC, SUBSCRIPTION_MCC = "6011", "5968"
SHIPPED_MCCS = ("5311", "5651", "5732", "5942", "5944")

MEDIANS = np.array([trade.median for trade in TRADES])
SPREADS = np.array([trade.spread for trade in TRADES])
OPENS = np.array([trade.opens for trade in TRADES], float)
RETURNED = np.array([trade.returned for trade in TRADES])
CASH, SUBSCRIPTION = (next(n for n, t in enumerate(TRADES) if t.mcc == mcc) for mcc in (CASH_MCC, SUBSCRIPTION_MCC))
SHIPPED = np.array([trade.mcc in SHIPPED_MCCS for trade in TRADES])


@dataclass(frozen=True)
class Country:
    """Where merchants are; cardholders live in the first.

    Attributes:
        code: ISO 3166-1 alpha-2.
        latitude: of its middle.
        longitude: of its middle.
        share: of merchants.
        currency: ISO 4217, all with two decimals.
        per_unit: of its currency for one unit of the base currency.
        travel: share of trips that go there.
    """

    code: str
    latitude: float
    longitude: float
    share: float
    currency: str
    per_unit: float
    travel: float


COUNTRIES = (
    Country("DE", 51.2, 10.4, 0.55, "EUR", 1.0, 0.30),
    Country("FR", 46.6, 2.4, 0.14, "EUR", 1.0, 0.12),
    Country("NL", 52.2, 5.3, 0.09, "EUR", 1.0, 0.09),
    Country("ES", 40.2, -3.6, 0.08, "EUR", 1.0, 0.17),
    Country("IT", 42.8, 12.8, 0.07, "EUR", 1.0, 0.16),
    Country("GB", 52.6, -1.5, 0.04, "GBP", 0.86, 0.05),
    Country("US", 39.8, -98.6, 0.02, "USD", 1.09, 0.04),
    Country("TR", 39.0, 35.2, 0.01, "TRY", 38.0, 0.07),
)

_NAMES = (
    "Bäckerei Süß & Söhne", "Épicerie Çà et Là", "Smørrebrød Ø", "Zażółć Gęślą", "İstanbul Köfte", "O'Neill's Bar",
    "Café Zoë ☕", "Ελληνική Ταβέρνα", "Кофейня Ёлка", "Հայկական խոհանոց", "בית קפה", "مطعم السلام", "भारत भवन",
    "ร้านอาหารไทย", "東京ラーメン", "北京烤鸭", "서울식당", "ამო რაამე", "ቡና ቤት", "👩‍🍳 Küche",
)  # fmt: skip

MERCHANT_LIFE_DAYS = 3_285
"""Nine years: so one shop in nine has a new merchant each year."""

_SPREAD_DEGREES = 1.6
_FOREIGN_SIZE = 0.1  # what a merchant abroad sells to this portfolio, compared with one at home
_MAX_TERMINALS = 12


@dataclass(frozen=True)
class Merchants:
    """Shops as columns (m), each with one merchant at a time.

    Attributes:
        mcc: merchant category codes.
        names: as customers know them, in many scripts.
        country: index into `COUNTRIES`.
        trade: index into `TRADES`.
        latitude: of the shop.
        longitude: of the shop.
        online: sells at a distance.
        price: factor on its trade's ticket.
        popularity: share of transactions; sums to 1 and has a heavy tail.
        terminals: number of its terminals.
        on_file: share of its online customers whose card it keeps.
        takeover: day in the merchant's life at day 0.
    """

    mcc: pa.Array
    names: pa.Array
    country: Ints
    trade: Ints
    latitude: Floats
    longitude: Floats
    online: Bools
    price: Floats
    popularity: Floats
    terminals: Ints
    on_file: Floats
    takeover: Ints

    def ids(self, day: int) -> pa.Array:
        """Merchant of each shop on a day."""
        number = pa.array((day + self.takeover) // MERCHANT_LIFE_DAYS)
        return pc.binary_join_element_wise(numbered("merchant", len(self.trade)), pc.cast(number, pa.string()), "-")


def draw_merchants(rng: np.random.Generator, count: int) -> Merchants:
    """Draws merchants; of every trade there is one, whatever the count, as long as it suffices."""
    shares = np.array([trade.share for trade in TRADES])
    trade = np.concatenate([np.arange(len(TRADES)), rng.choice(len(TRADES), count, p=shares / shares.sum())])[:count]
    online = rng.random(count) < np.array([t.online for t in TRADES])[trade]
    abroad = np.array([country.share for country in COUNTRIES])
    country = rng.choice(len(COUNTRIES), count, p=abroad / abroad.sum())
    country[: len(TRADES)] = 0
    size = (rng.pareto(1.1, count) + 0.2) * np.where(country == 0, 1.0, _FOREIGN_SIZE)
    in_trade = np.bincount(trade, weights=size, minlength=len(TRADES))
    popularity = size / in_trade[trade] * shares[trade]
    return Merchants(
        mcc=pa.array([TRADES[t].mcc for t in trade]),
        names=pa.array([f"{_NAMES[number % len(_NAMES)]} {number}" for number in range(count)]),
        country=country,
        trade=trade.astype(np.int64),
        latitude=np.array([c.latitude for c in COUNTRIES])[country] + rng.normal(0, _SPREAD_DEGREES, count),
        longitude=np.array([c.longitude for c in COUNTRIES])[country] + rng.normal(0, _SPREAD_DEGREES, count),
        online=online,
        price=np.exp(rng.normal(0, 0.35, count)),
        popularity=popularity / popularity.sum(),
        terminals=np.minimum(_MAX_TERMINALS, 1 + np.sqrt(size)).astype(np.int64),
        on_file=rng.beta(2.0, 2.0, count),
        takeover=rng.integers(0, MERCHANT_LIFE_DAYS, count),
    )


def numbered(stem: str, count: int) -> pa.Array:
    """Names that count.

    >>> numbered("card", 2).to_pylist()
    ['card-0000000', 'card-0000001']
    """
    numbers = pc.cast(pa.array(np.arange(count)), pa.string())
    return pc.binary_join_element_wise(stem, pc.utf8_lpad(numbers, 7, "0"), "-")
