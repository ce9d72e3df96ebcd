"""Cardholders and their cards: home, age, spending, habits, devices, subscriptions, trips, and their coming and going.

A population has a fixed number of places. The card at a place is renewed every few years: every second time its holder
gets a new card, otherwise the holder leaves and a new one comes. So cards appear and vanish while the number stays, and
who holds a place on a day follows from the day alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producer.ids import tokens_of_each_form
from producer.merchants import COUNTRIES, SUBSCRIPTION, TRADES, Bools, Floats, Ints, Merchants, numbered

CARD_LIFE_DAYS = 1_095
DEVICE_LIFE_DAYS = 900
MONTH_DAYS = 30

AGE_BANDS = (
    ("18-24", 0.10, 0.95, 0.70, 1.5, 16.5),
    ("25-39", 0.28, 1.25, 1.00, 1.3, 16.0),
    ("40-54", 0.27, 1.15, 1.20, 1.0, 15.0),
    ("55-69", 0.23, 0.85, 1.10, 0.7, 13.5),
    ("70+", 0.12, 0.55, 0.90, 0.35, 11.5),
)
"""Age band, share of cardholders, factors on frequency, ticket and online share, middle of the day (hour)."""

_BINS = ("41111100", "52345600", "47123400", "55667700")
_SLEEPER_OF = 50  # of so many cards, one sleeps
_SLEEP_DAYS, _AWAKE_DAYS = 120, 15  # for four to nine months, apart from two weeks
_FAVOURITES = 12
_MAX_SUBSCRIPTIONS = 4
_HOME_SPREAD_DEGREES = 1.6


@dataclass(frozen=True)
class Subscriptions:
    """Monthly payments as columns: who pays whom how much, on which day of a 30-day month, at which time of day."""

    card: Ints
    merchant: Ints
    amount_cents: Ints
    day: Ints
    time_ms: Ints


@dataclass(frozen=True)
class Trips:
    """When the holder of each place is away: for `days` days of each period."""

    period: Ints
    phase: Ints
    days: Ints

    def destination(self, day: int, season: float) -> Ints:
        """Country of each place's holder who travels that day, -1 for those at home."""
        number, into = np.divmod(day + self.phase, self.period)
        which = (number * 2_654_435_761 + self.phase * 40_503) % 10_007 / 10_007
        country = np.searchsorted(np.cumsum([c.travel for c in COUNTRIES]), which)
        return np.where(into < self.days * season, np.minimum(country, len(COUNTRIES) - 1), -1)


@dataclass(frozen=True)
class Cards:
    """Places of the population as columns (c), each with one card at a time.

    Attributes:
        holder: index of the place whose holder this is; another one's where a holder has several cards.
        device_of: index of the place whose devices these are; another one's where a household shares.
        bins: first digits of the card.
        age_band: index into `AGE_BANDS`.
        latitude: of the home.
        longitude: of the home.
        per_day: mean transactions a day, subscriptions left out.
        level: factor on every ticket.
        online: factor on the share of purchases at a distance.
        weekend: factor on activity at weekends.
        favourites: merchants used again and again (c, k).
        peak_hour: around which the holder's day is centred.
        renewal: day in the card's life at day 0.
        address: of the household's connection.
        subscriptions: monthly payments.
        trips: when holders are away.
    """

    holder: Ints
    device_of: Ints
    bins: pa.Array
    age_band: Ints
    latitude: Floats
    longitude: Floats
    per_day: Floats
    level: Floats
    online: Floats
    weekend: Floats
    favourites: Ints
    peak_hour: Floats
    renewal: Ints
    address: pa.Array
    subscriptions: Subscriptions
    trips: Trips

    def __len__(self) -> int:
        return len(self.per_day)

    def generation(self, day: int) -> Ints:
        """How often the card at each place has been renewed until a day."""
        return (day + self.renewal) // CARD_LIFE_DAYS

    def tokens(self, day: int) -> pa.Array:
        """Token of the card at each place on a day."""
        return tokens_of_each_form(_dashed(numbered("card", len(self)), self.generation(day)))

    def asleep(self, day: int) -> Bools:
        """Which holders do not use their card on a day: a few leave it in a drawer for months."""
        place = np.arange(len(self))
        period = _SLEEP_DAYS + place % 150
        return np.asarray((place % _SLEEPER_OF == 7) & ((day + place) % period >= _AWAKE_DAYS), bool)

    def customers(self, day: int) -> pa.Array:
        """Holder of each place on a day."""
        return _dashed(numbered("customer", len(self)), (self.generation(day) + 1) // 2).take(pa.array(self.holder))

    def devices(self, day: int) -> pa.Array:
        """First, second and third device of each place, one after the other (3c)."""
        bought = (day + self.renewal * 7) // DEVICE_LIFE_DAYS
        first = _dashed(numbered("device", len(self)), bought).take(pa.array(self.device_of))
        return pa.concat_arrays([pc.binary_join_element_wise(first, which, "-") for which in ("a", "b", "c")])


def draw_cards(rng: np.random.Generator, count: int, merchants: Merchants) -> Cards:
    """Draws the places of a population."""
    before = np.maximum(np.arange(count) - 1, 0)
    holder = np.where(rng.random(count) < 0.15, before, np.arange(count))
    device_of = np.where(rng.random(count) < 0.06, np.maximum(before - 1, 0), holder)
    band = rng.choice(len(AGE_BANDS), count, p=[share for _, share, *_ in AGE_BANDS])
    often, level, online, middle = (np.array([row[place] for row in AGE_BANDS])[band] for place in (2, 3, 4, 5))
    latitude = COUNTRIES[0].latitude + rng.normal(0, _HOME_SPREAD_DEGREES, count)
    longitude = COUNTRIES[0].longitude + rng.normal(0, _HOME_SPREAD_DEGREES, count)
    near = merchants.popularity * np.where(merchants.country == 0, 1.0, np.where(merchants.online, 0.3, 0.02))
    favourites = rng.choice(len(near), (count, _FAVOURITES), p=near / near.sum())
    return Cards(
        holder=holder,
        device_of=device_of,
        bins=pa.array(_BINS).take(pa.array(rng.integers(0, len(_BINS), count))),
        age_band=band,
        latitude=latitude[holder],
        longitude=longitude[holder],
        per_day=(rng.gamma(1.6, 1.1, count) + 0.1) * often,
        level=np.exp(rng.normal(0, 0.45, count)) * level,
        online=online * np.exp(rng.normal(0, 0.4, count)),
        weekend=np.exp(rng.normal(0, 0.25, count)),
        favourites=favourites,
        peak_hour=rng.normal(middle, 1.8),
        renewal=rng.integers(0, CARD_LIFE_DAYS, count),
        address=_addresses(np.arange(count) * 5_003 % (1 << 22)).take(pa.array(device_of)),
        subscriptions=_draw_subscriptions(rng, count, merchants),
        trips=_draw_trips(rng, count),
    )


def network_addresses(numbers: Ints) -> pa.Array:
    """Addresses of other people's connections, in 10.64.0.0 and above."""
    return _addresses((1 << 22) + numbers % (1 << 23))


def _addresses(numbers: Ints) -> pa.Array:
    """Private IPv4 addresses: 10.0.0.0 plus a number below 2^24."""
    parts = [pc.cast(pa.array(numbers >> shift & 255), pa.string()) for shift in (16, 8, 0)]
    return pc.binary_join_element_wise("10", *parts, ".")


def _draw_subscriptions(rng: np.random.Generator, count: int, merchants: Merchants) -> Subscriptions:
    number = rng.binomial(_MAX_SUBSCRIPTIONS, 0.4, count)
    card = np.repeat(np.arange(count), number)
    sellers = merchants.popularity * (merchants.trade == SUBSCRIPTION)
    n = len(card)
    merchant = rng.choice(len(sellers), n, p=sellers / sellers.sum())
    amount = TRADES[SUBSCRIPTION].median * merchants.price[merchant] * rng.choice([0.7, 1.0, 1.5], n)
    return Subscriptions(
        card=card,
        merchant=merchant,
        amount_cents=np.round(amount).astype(np.int64) * 100 - 1,
        day=rng.integers(0, MONTH_DAYS, n),
        time_ms=rng.integers(1 * 3_600_000, 9 * 3_600_000, n),
    )


def _draw_trips(rng: np.random.Generator, count: int) -> Trips:
    period = rng.integers(70, 300, count)
    return Trips(period=period, phase=rng.integers(0, 100_000, count), days=rng.integers(2, 15, count))


def _dashed(names: pa.Array, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(names, pc.cast(pa.array(numbers), pa.string()), "-")
