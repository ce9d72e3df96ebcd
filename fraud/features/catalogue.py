"""The catalogue of behavioural features: kernels, schema, documentation and model input derive from its entries."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Entity(enum.StrEnum):
    """Whose behaviour a feature measures; the transaction's own features need no history.

    Their order is that in which they are folded.
    """

    TRANSACTION = "transaction"
    CARD = "card"
    MERCHANT = "merchant"
    DEVICE = "device"
    BIN = "bin"

    @property
    def key(self) -> str:
        """The transaction column that identifies it; where it is null, the transaction has no such entity."""
        return _KEYS[self]

    @property
    def label(self) -> str:
        """What people call it."""
        return "BIN" if self is Entity.BIN else self.value


_KEYS = {Entity.CARD: "card_token", Entity.MERCHANT: "merchant_id", Entity.DEVICE: "device_id", Entity.BIN: "bin"}
KEYED_ENTITIES = tuple(_KEYS)
"""Those with state."""


class Input(enum.IntEnum):
    """The column of an event that an aggregate reads; the number is its place in the event matrix."""

    TIME = 0  # event time, ms
    ID = 1  # hash of the transaction id
    AMOUNT = 2  # billing amount in minor units; 0 for refunds and reversals
    OTHER = 3  # hash of the merchant (in a card's events) or of the card (in those of all others)
    COUNTRY = 4  # hash of the merchant's country
    DEVICE = 5  # hash of the device; 0 without
    MCC = 6  # hash of the merchant category code
    CHANNEL = 7  # hash of the channel
    FLAGS = 8  # bits, see `Flag`


class Flag(enum.IntFlag):
    """Bits of an event."""

    NONE = 0
    DECLINED = 1  # the authorisation was declined
    UNUSUAL = 2  # the amount was unusual for the card
    FRAUD = 4  # labelled as fraud, by a label that had arrived
    LABEL = 8  # the row is a label, not a transaction
    HIGH = 16  # the amount was above what is usual for the card, if not yet unusual


class Aggregate(enum.IntEnum):
    """What is computed. Windows are `(t - delay - window, t - delay]` over what arrived before."""

    COUNT = 0
    SUM = 1
    MEAN = 2
    STD = 3
    MAX = 4
    DISTINCT = 5
    IS_NEW = 6  # 1 when no event of the window has this event's value
    FLAGGED = 7  # events with a flag
    FLAGGED_SHARE = 8  # their share; null without events
    FRAUD_NORMAL_SHARE = 9  # share of events that are fraud and whose amount was usual for their card
    AMOUNT_RATIO = 10  # this amount over the window's mean
    SINCE_FLAGGED = 11  # seconds since the window's latest event with a flag
    SINCE_FRAUD_NORMAL = 12  # seconds since its latest that is fraud and whose amount was usual for its card
    SINCE_LAST = 13  # seconds
    DECAYED_COUNT = 14  # exponentially decayed, `window` is the half-life
    DECAYED_SUM = 15
    DECAYED_UNUSUAL = 16
    LOG_Z = 17  # of the amount's logarithm against mean and deviation of the entity's whole history
    ROBUST_Z = 18  # against median and quartiles of the whole history
    UNUSUAL = 19  # 1 when ROBUST_Z exceeds `UNUSUAL_Z`
    HOUR_DEVIATION = 20  # hours between this time of day and the entity's circular mean
    DISTANCE_LAST = 21  # km from the last card-present place
    SPEED = 22  # km/h implied by it
    VALUE = 23  # of the transaction itself; `Feature.value` says which
    WEEKDAY_DEVIATION = 24  # days between this weekday and the entity's circular mean


# Compiled into the kernel: numba's cache looks at kernel.py alone, so touch that file when you change one of these.
UNUSUAL_Z = 3.0
"""Robust deviations above which an amount is unusual for its card."""

USUAL_Z = 1.5
"""Robust deviations up to which an amount is usual for its card: fraud at such an amount speaks of the place. Between
the two limits an amount is no evidence of either."""

LEAST_HISTORY = 5
"""Amounts before an entity has a usual one."""

LEAST_SPREAD = 0.1
"""Of the amount's logarithm: a card that always pays the same is not infinitely surprised."""

BINS = 64
"""Bins of the amount's logarithm, half an octave each, from which median and quartiles come."""

LATENESS_MS = DAY_MS
"""How late an event may arrive and still find its longest window whole."""

DUPLICATE_HORIZON_MS = DAY_MS
"""A transaction id seen again for its card within this event-time distance is a duplicate."""

KERNEL_VERSION = 1
"""Raised when the kernel gives another value for the same entry and events; part of every definition's hash."""


@dataclass(frozen=True)
class Feature:
    """One entry of the catalogue.

    Attributes:
        name: column name, unique.
        entity: whose behaviour.
        aggregate: what is computed.
        unit: of the value.
        why: what it tells about fraud.
        window_ms: length of the window, or half-life; 0 where neither applies.
        input: the event column it reads.
        flag: the flag that FLAGGED and FLAGGED_SHARE count and SINCE_FLAGGED looks for.
        delay_ms: how far the window ends before the event: for labels, which come late.
        value: which value of the transaction, for VALUE.
    """

    name: str
    entity: Entity
    aggregate: Aggregate
    unit: str
    why: str
    window_ms: int = 0
    input: Input = Input.AMOUNT
    flag: Flag = Flag.NONE
    delay_ms: int = 0
    value: str = ""


_WINDOWS = {"10m": 10 * MINUTE_MS, "1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
LABEL_DELAY_MS = 7 * DAY_MS
"""Age from which a transaction without a fraud label counts as good."""


def _over(
    windows: str, stem: str, entity: Entity, aggregate: Aggregate, unit: str, why: str, **rest: object
) -> Iterator[Feature]:
    for window in windows.split():
        yield Feature(
            f"{entity}_{stem}_{window}",
            entity,
            aggregate,
            unit,
            why,
            window_ms=_WINDOWS[window],
            **rest,  # type: ignore[arg-type]
        )


def _transaction() -> Iterator[Feature]:
    entries = (
        ("amount", "base currency", "large purchases are worth stealing for"),
        ("hour", "hours", "fraud keeps other hours than its victims"),
        ("is_night", "flag", "between midnight and 7 o'clock, UTC"),
        ("is_weekend", "flag", "Saturday or Sunday, UTC"),
        ("is_ecommerce", "flag", "card-not-present fraud happens here"),
        ("is_atm", "flag", "cash is the shortest way out"),
        ("is_magstripe", "flag", "counterfeits fall back to the stripe"),
        ("is_cross_border", "flag", "merchant's country differs from the issuer's"),
        ("distance_home_km", "km", "far from home is unusual for most cards"),
    )
    for name, unit, why in entries:
        yield Feature(f"tx_{name}", Entity.TRANSACTION, Aggregate.VALUE, unit, why, value=name)


def _card() -> Iterator[Feature]:
    card, a = Entity.CARD, Aggregate
    yield from _over("10m 1h 24h 7d 30d", "count", card, a.COUNT, "transactions", "bursts: testing and draining")
    yield from _over("1h 24h 7d 30d", "sum", card, a.SUM, "base currency", "money leaving faster than usual")
    yield from _over("24h 7d 30d", "mean", card, a.MEAN, "base currency", "the card's usual ticket")
    yield from _over("30d", "std", card, a.STD, "base currency", "how much its tickets vary")
    yield from _over("24h 30d", "max", card, a.MAX, "base currency", "the largest recent ticket")
    yield from _over(
        "1h 24h 7d", "merchants", card, a.DISTINCT, "merchants", "spreading over merchants", input=Input.OTHER
    )
    yield from _over("24h 7d", "countries", card, a.DISTINCT, "countries", "two places at once", input=Input.COUNTRY)
    yield from _over("24h 30d", "devices", card, a.DISTINCT, "devices", "an account in new hands", input=Input.DEVICE)
    yield from _over("1h 24h", "declines", card, a.FLAGGED, "declines", "guessing limits", flag=Flag.DECLINED)
    for stem, column in (
        ("merchant", Input.OTHER),
        ("mcc", Input.MCC),
        ("country", Input.COUNTRY),
        ("device", Input.DEVICE),
        ("channel", Input.CHANNEL),
    ):
        why = f"first use of this {stem} in 30 days"
        yield from _over("30d", f"new_{stem}", card, a.IS_NEW, "flag", why, input=column)
    yield Feature("card_since_last_s", card, a.SINCE_LAST, "seconds", "hurry, or a dormant card waking up")
    yield Feature("card_decayed_count_6h", card, a.DECAYED_COUNT, "transactions", "pace", window_ms=6 * HOUR_MS)
    yield Feature("card_decayed_count_3d", card, a.DECAYED_COUNT, "transactions", "usual pace", window_ms=3 * DAY_MS)
    yield Feature("card_decayed_sum_3d", card, a.DECAYED_SUM, "base currency", "pace of money", window_ms=3 * DAY_MS)
    yield from _over("7d 30d", "amount_ratio", card, a.AMOUNT_RATIO, "ratio", "this ticket against the usual one")
    yield Feature("card_amount_log_z", card, a.LOG_Z, "deviations", "against the card's whole history")
    yield Feature("card_amount_robust_z", card, a.ROBUST_Z, "deviations", "the same, blind to outliers")
    yield Feature("card_amount_unusual", card, a.UNUSUAL, "flag", "far outside the card's own history")
    yield Feature("card_unusual_7d", card, a.DECAYED_UNUSUAL, "transactions", "unusual lately", window_ms=7 * DAY_MS)
    yield Feature(
        "card_since_unusual_s", card, a.SINCE_FLAGGED, "seconds", "how fresh the last unusual amount is",
        window_ms=_WINDOWS["30d"], flag=Flag.UNUSUAL,
    )  # fmt: skip
    yield Feature("card_hour_deviation_h", card, a.HOUR_DEVIATION, "hours", "outside the card's own hours")
    yield Feature("card_weekday_deviation_d", card, a.WEEKDAY_DEVIATION, "days", "outside the card's own days")
    yield Feature("card_distance_last_km", card, a.DISTANCE_LAST, "km", "from where it was last present")
    yield Feature("card_speed_kmh", card, a.SPEED, "km/h", "impossible travel")


def _merchant() -> Iterator[Feature]:
    merchant, a = Entity.MERCHANT, Aggregate
    yield from _over("1h 24h 7d 30d", "count", merchant, a.COUNT, "transactions", "how busy it is")
    yield from _over("7d 30d", "mean", merchant, a.MEAN, "base currency", "its usual ticket")
    yield from _over(
        "10m 1h", "cards", merchant, a.DISTINCT, "cards", "many cards at once: card testing", input=Input.OTHER
    )
    yield from _over("1h", "declines", merchant, a.FLAGGED, "declines", "card testing", flag=Flag.DECLINED)
    yield from _over("30d", "amount_ratio", merchant, a.AMOUNT_RATIO, "ratio", "this ticket against its usual one")
    yield from _over(
        "24h 7d", "unusual_share", merchant, a.FLAGGED_SHARE, "share", "unusual for their cards", flag=Flag.UNUSUAL
    )
    yield Feature("merchant_since_last_s", merchant, a.SINCE_LAST, "seconds", "hurry")
    yield from _over(
        "24h 7d 30d", "matured_count", merchant, a.COUNT, "transactions", "weight of the rate", delay_ms=LABEL_DELAY_MS
    )
    yield from _over(
        "24h 7d 30d",
        "fraud_rate",
        merchant,
        a.FLAGGED_SHARE,
        "share",
        "fraud known here",
        flag=Flag.FRAUD,
        delay_ms=LABEL_DELAY_MS,
    )
    yield from _over(
        "24h 7d 30d", "fraud_normal_rate", merchant, a.FRAUD_NORMAL_SHARE, "share",
        "fraud here that only the place explains", delay_ms=LABEL_DELAY_MS,
    )  # fmt: skip
    yield Feature(
        "merchant_since_fraud_normal_s", merchant, a.SINCE_FRAUD_NORMAL, "seconds", "whether the place is still unsafe",
        window_ms=_WINDOWS["30d"], delay_ms=LABEL_DELAY_MS,
    )  # fmt: skip


def _device() -> Iterator[Feature]:
    device, a, windows = Entity.DEVICE, Aggregate, "10m 1h 24h 7d"
    yield from _over(windows, "count", device, a.COUNT, "transactions", "scripted use")
    yield from _over(windows, "sum", device, a.SUM, "base currency", "money leaving through one device")
    yield from _over(windows, "cards", device, a.DISTINCT, "cards", "one device, many cards", input=Input.OTHER)
    yield from _over(windows, "declines", device, a.FLAGGED, "declines", "trying cards out", flag=Flag.DECLINED)


def _bin() -> Iterator[Feature]:
    issuer, a, windows = Entity.BIN, Aggregate, "10m 1h"
    yield from _over(windows, "count", issuer, a.COUNT, "transactions", "an attack on one issuer's numbers")
    yield from _over(windows, "sum", issuer, a.SUM, "base currency", "money leaving through one issuer's cards")
    yield from _over(windows, "cards", issuer, a.DISTINCT, "cards", "numbers enumerated", input=Input.OTHER)
    yield from _over(windows, "declines", issuer, a.FLAGGED, "declines", "guessed numbers fail", flag=Flag.DECLINED)


CATALOGUE: tuple[Feature, ...] = (*_transaction(), *_card(), *_merchant(), *_device(), *_bin())
"""Every feature, in the order of model input."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOGUE)

FEATURE_FIELDS: tuple[pa.Field, ...] = tuple(pa.field(name, pa.float64()) for name in FEATURE_NAMES)
"""The columns, null where a value is undefined."""

EXACT_FIELDS: tuple[pa.Field, ...] = tuple(pa.field(f"exact_{entity}", pa.bool_()) for entity in KEYED_ENTITIES)
"""Per entity: whether its windows saw every transaction that belongs in them; null without the entity."""


def features_of(*entities: Entity) -> tuple[Feature, ...]:
    """The entries of entities, in catalogue order."""
    return tuple(feature for feature in CATALOGUE if feature.entity in entities)


def features_named(names: Iterable[str]) -> tuple[Feature, ...]:
    """The entries of these names, in their order.

    Raises:
        KeyError: the catalogue has no such entry.
    """
    by_name = {feature.name: feature for feature in CATALOGUE}
    return tuple(by_name[name] for name in names)


def definition_hash(features: tuple[Feature, ...] = CATALOGUE) -> str:
    """First 16 hexadecimal digits of a SHA-256 over everything that determines the values, in order.

    That is the entries, and the constants that all entries share.
    """
    shared = (KERNEL_VERSION, UNUSUAL_Z, USUAL_Z, LEAST_HISTORY, LEAST_SPREAD, BINS, LATENESS_MS, DUPLICATE_HORIZON_MS)
    definitions = [
        (f.name, f.entity.value, int(f.aggregate), f.window_ms, int(f.input), int(f.flag), f.delay_ms, f.value)
        for f in features
    ]
    return hashlib.sha256(repr((shared, definitions)).encode()).hexdigest()[:16]
