"""A day of genuine transactions."""

from __future__ import annotations

import numpy as np

from producer.economy import Economy
from producer.merchants import CASH, COUNTRIES, MEDIANS, OPENS, RETURNED, SHIPPED, SPREADS, Floats, Ints
from producer.population import MONTH_DAYS
from producer.rows import (
    ACCOUNT_CHECK,
    ATM,
    CARDHOLDER,
    CHIP,
    CONTACTLESS,
    ECOMMERCE,
    GENUINE,
    MAGSTRIPE,
    MANUAL,
    MERCHANT,
    MOTO,
    NONE,
    ON_FILE,
    OWN,
    POS,
    PURCHASE,
    RECURRING,
    REFUND,
    RESPONSES,
    REVERSAL,
    UNCHECKED,
    VOID,
    WITHDRAWAL,
    Rows,
    cents,
    checked,
    concat,
    filled,
)
from producer.season import season_of

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

_FAVOURITE_SHARE = 0.72
_ONLINE_LEAN = 0.8  # of purchases at a distance by a holder who seldom buys so, the rest is done in a shop
_CONTACTLESS_SHARE = 0.62  # ECB, SPACE 2022: of card payments at points of sale
_MAGSTRIPE_SHARE = 0.01
_MOTO_SHARE = 0.02
_DECLINED_SHARE = 0.035
_RETRY_SHARE = 0.6
_REVERSAL_SHARE = 0.002
_VOID_SHARE = 0.002
_CHECKED_SHARE = 0.02  # of purchases online
_CHECK_FAILED_SHARE = 0.05
_NEW_DEVICE_SHARE = 0.04
_UNSEEN_DEVICE_SHARE = 0.08
_OTHER_ADDRESS_SHARE = 0.10
_OFFLINE_SHARE = 0.004  # of purchases at points of sale: terminals without a line, aboard and in markets
_OFFLINE_MS = (10 * 60_000, 20 * _HOUR_MS)
_AHEAD_SHARE = 0.002  # of transactions come from clocks that go fast
_AHEAD_MS = (1_000, 20 * 60_000)
_KNOWN = 0.97  # of cardholders' answers to a check are right


def genuine_day(economy: Economy, day: int) -> Rows:
    """The genuine transactions that begin on one day (days since 1970), sorted by time.

    Retries, reversals, voids and refunds may reach into later days, and some arrive late. It is a function of the seed
    and the day.
    """
    rng = np.random.default_rng([economy.seed, 1, day])
    bought = _purchases(rng, economy, day)
    parts = [bought, _retries(rng, bought), _reversals(rng, bought), _refunds(rng, economy, bought)]
    parts.append(_subscriptions(rng, economy, day))
    parts += [_voids(rng, bought), _account_checks(rng, bought)]
    rows = concat(parts)
    rows = _off_time(np.random.default_rng([economy.seed, 6, day]), rows.take(~economy.cards.asleep(day)[rows.card]))
    return rows.take(np.argsort(rows.time_ms, kind="stable"))


def _off_time(rng: np.random.Generator, rows: Rows) -> Rows:
    """Terminals without a line send later what they sold; senders whose clocks go fast say that it happened later."""
    n = len(rows)
    dice = rng.random(n)
    offline = (rows.channel == POS) & (rows.kind == PURCHASE) & (rows.response == 0) & (dice < _OFFLINE_SHARE)
    ahead = dice > 1 - _AHEAD_SHARE
    least, most = np.log(_OFFLINE_MS).tolist()
    waited = np.exp(rng.uniform(least, most, n)).astype(np.int64)
    late_ms = np.where(offline, waited, np.where(ahead, -rng.integers(*_AHEAD_MS, n), 0))
    return rows.but(time_ms=rows.time_ms + np.maximum(late_ms, 0), late_ms=late_ms)


def _purchases(rng: np.random.Generator, economy: Economy, day: int) -> Rows:
    cards, merchants = economy.cards, economy.merchants
    season = season_of(day)
    lean = cards.weekend if season.weekend else cards.weekend**-0.4
    count = rng.poisson(cards.per_day * season.activity * lean)
    card = np.repeat(np.arange(len(count)), count)
    n = len(card)
    merchant = _merchants(rng, economy, card, cards.trips.destination(day, season.travel))
    trade = merchants.trade[merchant]
    online = merchants.online[merchant]
    cash = trade == CASH
    channel = np.where(cash, ATM, np.where(online, np.where(rng.random(n) < _MOTO_SHARE, MOTO, ECOMMERCE), POS))
    kept = rng.random(n) < merchants.on_file[merchant]
    at_shop = np.where(rng.random(n) < _CONTACTLESS_SHARE, CONTACTLESS, CHIP)
    at_shop = np.where(rng.random(n) < _MAGSTRIPE_SHARE, MAGSTRIPE, at_shop)
    entry = np.select([cash, channel == POS, channel == MOTO, kept], [CHIP, at_shop, MANUAL, ON_FILE], MANUAL)
    declined = rng.random(n) < _DECLINED_SHARE
    rows = Rows(
        time_ms=day * DAY_MS + _time_of_day(rng, cards.peak_hour[card], OPENS[trade], online),
        late_ms=filled(0, n),
        card=card,
        merchant=merchant,
        amount_cents=_amounts(rng, MEDIANS[trade] * merchants.price[merchant] * cards.level[card], trade),
        kind=np.where(cash, WITHDRAWAL, PURCHASE),
        channel=channel,
        entry=entry,
        initiation=filled(CARDHOLDER, n),
        response=np.where(declined, rng.choice([1, 2, 4], n, p=[0.7, 0.25, 0.05]), 0),
        device=np.where(channel == ECOMMERCE, _devices(rng, n), NONE),
        address=np.where(
            (channel == ECOMMERCE) & SHIPPED[trade],
            np.where(rng.random(n) < _OTHER_ADDRESS_SHARE, rng.integers(0, 1 << 30, n), OWN),
            NONE,
        ),
        avs=filled(UNCHECKED, n),
        cvv=filled(UNCHECKED, n),
        three_ds=filled(UNCHECKED, n),
        campaign=filled(GENUINE, n),
        case=filled(0, n),
    )
    return checked(rng, rows, _KNOWN)


def _merchants(rng: np.random.Generator, economy: Economy, card: Ints, destination: Ints) -> Ints:
    """Where each purchase is made: a favourite, another place of the home country, or one where the holder travels."""
    cards, merchants = economy.cards, economy.merchants
    n = len(card)
    favourite = cards.favourites[card, np.minimum(rng.geometric(0.25, n) - 1, cards.favourites.shape[1] - 1)]
    home = merchants.popularity * np.where(merchants.online | (merchants.country == 0), 1.0, 0.01)
    merchant = np.where(rng.random(n) < _FAVOURITE_SHARE, favourite, _popular(rng, home, n))
    seldom = merchants.online[merchant] & (rng.random(n) * cards.online[card] < 1 - _ONLINE_LEAN)
    merchant = np.where(seldom, _popular(rng, home * ~merchants.online, n), merchant)
    away = destination[card]
    for country in range(len(COUNTRIES)):
        there = np.flatnonzero((away == country) & ~merchants.online[merchant])
        shops = merchants.popularity * (~merchants.online & (merchants.country == country))
        if len(there) and shops.any():
            merchant[there] = _popular(rng, shops, len(there))
    return np.asarray(merchant, np.int64)


def _popular(rng: np.random.Generator, weight: Floats, count: int) -> Ints:
    edges = np.cumsum(weight)
    return np.asarray(np.searchsorted(edges, rng.random(count) * edges[-1], side="right"), np.int64)


def _time_of_day(rng: np.random.Generator, peak_hour: Floats, opens: Floats, online: np.ndarray) -> Ints:
    hour = rng.normal(peak_hour, 3.6) % 24
    closed = ~online & ((hour < opens[:, 0]) | (hour > opens[:, 1]))
    inside = opens[:, 0] + rng.random(len(hour)) * (opens[:, 1] - opens[:, 0])
    return np.minimum((np.where(closed, inside, hour) * _HOUR_MS).astype(np.int64), DAY_MS - 1)


def _amounts(rng: np.random.Generator, median: Floats, trade: Ints) -> Ints:
    amount = median * np.exp(rng.normal(0, SPREADS[trade]))
    return cents(np.where(trade == CASH, np.clip(np.round(amount / 10) * 10, 10, 1_000), amount))


def _devices(rng: np.random.Generator, count: int) -> Ints:
    own = rng.choice([OWN, OWN - 1, OWN - 2], count, p=[0.72, 0.22, 0.06])
    dice = rng.random(count)
    return np.select(
        [dice < _NEW_DEVICE_SHARE, dice < _NEW_DEVICE_SHARE + _UNSEEN_DEVICE_SHARE],
        [rng.integers(0, 1 << 30, count), filled(NONE, count)],
        own,
    )


def _retries(rng: np.random.Generator, bought: Rows) -> Rows:
    """A cardholder tries again within two minutes; for lack of funds often with less."""
    again = bought.take((bought.response > 0) & (rng.random(len(bought)) < _RETRY_SHARE))
    n = len(again)
    less = np.where((again.response == 1) & (rng.random(n) < 0.3), rng.uniform(0.3, 0.9, n), 1.0)
    return again.but(
        time_ms=again.time_ms + rng.integers(15_000, 120_000, n),
        amount_cents=np.maximum(50, again.amount_cents * less),
        response=np.where(rng.random(n) < 0.7, RESPONSES.index("00"), again.response),
    )


def _reversals(rng: np.random.Generator, bought: Rows) -> Rows:
    """The terminal takes a purchase back within minutes."""
    taken = bought.take(
        (bought.response == 0) & (bought.kind == PURCHASE) & (rng.random(len(bought)) < _REVERSAL_SHARE)
    )
    later = taken.time_ms + rng.integers(5_000, 300_000, len(taken))
    return taken.but(time_ms=later, kind=REVERSAL, avs=UNCHECKED, cvv=UNCHECKED, three_ds=UNCHECKED)


def _voids(rng: np.random.Generator, bought: Rows) -> Rows:
    """The shop cancels a purchase on the same day, before it is settled."""
    taken = bought.take((bought.response == 0) & (bought.kind == PURCHASE) & (rng.random(len(bought)) < _VOID_SHARE))
    later = taken.time_ms + rng.integers(600_000, 8 * _HOUR_MS, len(taken))
    return taken.but(
        time_ms=later, kind=VOID, initiation=MERCHANT, device=NONE, avs=UNCHECKED, cvv=UNCHECKED, three_ds=UNCHECKED
    )


def _account_checks(rng: np.random.Generator, bought: Rows) -> Rows:
    """A shop on the internet asks whether a card is good before it keeps it; half send a purchase of nothing."""
    asked = bought.take((bought.channel == ECOMMERCE) & (rng.random(len(bought)) < _CHECKED_SHARE))
    n = len(asked)
    return asked.but(
        time_ms=np.maximum(asked.time_ms - rng.integers(1_000, 60_000, n), asked.time_ms // DAY_MS * DAY_MS),
        amount_cents=0,
        kind=np.where(rng.random(n) < 0.5, ACCOUNT_CHECK, PURCHASE),
        response=np.where(rng.random(n) < _CHECK_FAILED_SHARE, RESPONSES.index("05"), 0),
        address=NONE,
    )


def _refunds(rng: np.random.Generator, economy: Economy, bought: Rows) -> Rows:
    """Goods come back after days, all or some of them."""
    share = RETURNED[economy.merchants.trade[bought.merchant]]
    given = bought.take((bought.response == 0) & (bought.kind == PURCHASE) & (rng.random(len(bought)) < share))
    n = len(given)
    return given.but(
        time_ms=given.time_ms + rng.integers(DAY_MS // 2, 14 * DAY_MS, n),
        amount_cents=np.maximum(50, given.amount_cents * np.where(rng.random(n) < 0.6, 1.0, rng.uniform(0.2, 0.9, n))),
        kind=REFUND,
        initiation=MERCHANT,
        device=NONE,
        address=NONE,
        avs=UNCHECKED,
        cvv=UNCHECKED,
        three_ds=UNCHECKED,
    )


def _subscriptions(rng: np.random.Generator, economy: Economy, day: int) -> Rows:
    due = economy.cards.subscriptions
    which = np.flatnonzero(due.day == day % MONTH_DAYS)
    n = len(which)
    return Rows(
        time_ms=day * DAY_MS + due.time_ms[which],
        late_ms=filled(0, n),
        card=due.card[which],
        merchant=due.merchant[which],
        amount_cents=due.amount_cents[which],
        kind=filled(PURCHASE, n),
        channel=filled(ECOMMERCE, n),
        entry=filled(ON_FILE, n),
        initiation=filled(RECURRING, n),
        response=np.where(rng.random(n) < _DECLINED_SHARE, 1, 0),
        device=filled(NONE, n),
        address=filled(NONE, n),
        avs=filled(UNCHECKED, n),
        cvv=filled(UNCHECKED, n),
        three_ds=filled(UNCHECKED, n),
        campaign=filled(GENUINE, n),
        case=filled(0, n),
    )
