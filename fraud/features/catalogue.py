"""The catalogue of behavioural features: kernels, schema, documentation and model input derive from its entries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import pyarrow as pa

from fraud.entities import CARD, ENTITIES, MERCHANT, TRANSACTION, Entity
from fraud.features import aggregates
from fraud.features.aggregates import Aggregate, Shape
from fraud.features.kernel.layout import (
    BINS,
    KERNEL_VERSION,
    MIN_HISTORY,
    MIN_SPREAD,
    UNUSUAL_Z,
    USUAL_Z,
    Flag,
    Input,
)
from fraud.records.arrival import DUPLICATE_HORIZON_MS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


LATENESS_MS = DAY_MS
"""How late an event may arrive and still find its longest window whole."""

MONEY = "base currency"
"""Unit of amounts."""


@dataclass(frozen=True)
class Feature:
    """One entry of the catalogue.

    Attributes:
        name: column name, unique.
        entity: whose behaviour.
        aggregate: what is computed.
        unit: of the value; `MONEY` where the aggregate's values are amounts.
        why: what it says about fraud.
        window_ms: length of the window, or half-life; 0 where neither applies.
        input: the attribute of events whose values DISTINCT and IS_NEW compare.
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
    input: Input = Input.NONE
    flag: Flag = Flag.NONE
    delay_ms: int = 0
    value: str = ""

    def __post_init__(self) -> None:
        if self.aggregate.shape is not Shape.VALUE and self.is_money is not self.aggregate.is_money:
            raise ValueError(f"{self.name}: unit {self.unit!r} for an aggregate {self.aggregate.name!r}")

    @property
    def is_money(self) -> bool:
        """Whether its values are amounts, in major units."""
        return self.unit == MONEY

    @cached_property
    def reads_labels(self) -> bool:
        """Whether its values depend on labels."""
        return bool(self.flag & Flag.FRAUD) or self.aggregate.reads_labels


_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def window_ms(text: str) -> int:
    """The length of a window as names of features write it: a whole number of minutes, hours or days.

    Raises:
        ValueError: it is not written so, or empty.

    >>> window_ms("90m"), window_ms("6h"), window_ms("3d")
    (5400000, 21600000, 259200000)
    """
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and int(number) and unit in _UNITS_MS):
        raise ValueError(f"no window {text!r}: write a number of minutes, hours or days, such as 10m, 6h or 30d")
    return int(number) * _UNITS_MS[unit]


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
            window_ms=window_ms(window),
            **rest,  # type: ignore[arg-type]
        )


def _transaction() -> Iterator[Feature]:
    entries = (
        ("amount", MONEY, "large purchases are worth stealing for"),
        ("hour", "hours", "fraud keeps other hours than its victims"),
        ("is_night", "flag", "between midnight and 7 o'clock, UTC"),
        ("is_weekend", "flag", "Saturday or Sunday, UTC"),
        ("is_ecommerce", "flag", "card-not-present fraud happens here"),
        ("is_atm", "flag", "cash is the shortest way out"),
        ("is_magstripe", "flag", "counterfeits fall back to the stripe"),
        ("is_cross_border", "flag", "merchant's country differs from the issuer's"),
        ("is_money_back", "flag", "a refund, reversal or void: it takes nothing from the card"),
        ("is_account_check", "flag", "no money moves: it only asks whether the account is good"),
        ("is_declined", "flag", "it took nothing from the card, but somebody tried"),
        ("distance_home_km", "km", "far from home is unusual for most cards"),
        ("is_contactless", "flag", "no PIN is asked for below a limit, so a stolen card works"),
        ("is_keyed", "flag", "card data that somebody typed in may have been copied from anywhere"),
        ("is_on_file", "flag", "card data that the merchant keeps: a taken-over account pays with them"),
        ("is_merchant_initiated", "flag", "recurring or by the merchant: nobody is at the other end"),
        ("cvv_mismatch", "of 1", "the security code is what copied card data lack: 1 where it did not match"),
        ("avs_mismatch", "of 1", "the address is what a thief guesses: 0.5 where it matched in part, 1 where not"),
        ("three_ds_doubt", "of 1", "how far 3-D Secure was from a cardholder who proved who they are"),
        ("is_wrong_data", "flag", "declined for a wrong number, expiry, PIN or security code: somebody guesses"),
        ("is_over_limit", "flag", "declined for funds or limits: somebody takes what there is"),
        ("mcc_risk", "of 3", "how well the merchant's trade turns a card into money"),
    )
    for name, unit, why in entries:
        yield Feature(f"tx_{name}", TRANSACTION, aggregates.VALUE, unit, why, value=name)


def _card() -> Iterator[Feature]:
    card, a = CARD, aggregates
    yield from _over("10m 1h 24h 7d 30d", "count", card, a.COUNT, "payments", "bursts: testing and draining")
    yield from _over("1h 24h 7d 30d", "sum", card, a.SUM, MONEY, "money leaving faster than usual")
    yield from _over("24h 7d 30d", "mean", card, a.MEAN, MONEY, "the card's usual ticket")
    yield from _over("30d", "std", card, a.STD, MONEY, "how much its tickets vary")
    yield from _over("24h 30d", "max", card, a.MAX, MONEY, "the largest recent ticket")
    yield from _over(
        "1h 24h 7d", "merchants", card, a.DISTINCT, "merchants", "spreading over merchants", input=Input.OTHER
    )
    yield from _over("24h 7d", "countries", card, a.DISTINCT, "countries", "two places at once", input=Input.COUNTRY)
    yield from _over("24h 30d", "devices", card, a.DISTINCT, "devices", "an account in new hands", input=Input.DEVICE)
    yield from _over("1h 24h", "declines", card, a.FLAGGED, "declines", "guessing limits", flag=Flag.DECLINED)
    yield from _over("1h 24h", "checks", card, a.FLAGGED, "account checks", "is the card alive?", flag=Flag.CHECK)
    yield from _over(
        "24h 30d", "money_back", card, a.FLAGGED, "refunds, reversals and voids", "refunds to a thief's card",
        flag=Flag.MONEY_BACK,
    )  # fmt: skip
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
    yield Feature("card_decayed_count_6h", card, a.DECAYED_COUNT, "payments", "pace", window_ms=6 * HOUR_MS)
    yield Feature("card_decayed_count_3d", card, a.DECAYED_COUNT, "payments", "usual pace", window_ms=3 * DAY_MS)
    yield Feature("card_decayed_sum_3d", card, a.DECAYED_SUM, MONEY, "pace of money", window_ms=3 * DAY_MS)
    yield from _over("7d 30d", "amount_ratio", card, a.AMOUNT_RATIO, "ratio", "this ticket against the usual one")
    yield Feature("card_amount_log_z", card, a.LOG_Z, "deviations", "against the card's whole history")
    yield Feature("card_amount_robust_z", card, a.ROBUST_Z, "deviations", "the same, blind to outliers")
    yield Feature("card_amount_unusual", card, a.UNUSUAL, "flag", "far outside the card's own history")
    yield Feature("card_unusual_7d", card, a.DECAYED_UNUSUAL, "payments", "unusual lately", window_ms=7 * DAY_MS)
    yield Feature(
        "card_since_unusual_s", card, a.SINCE_FLAGGED, "seconds", "how fresh the last unusual amount is",
        window_ms=window_ms("30d"), flag=Flag.UNUSUAL,
    )  # fmt: skip
    yield Feature("card_hour_deviation_h", card, a.HOUR_DEVIATION, "hours", "outside the card's own hours")
    yield Feature("card_weekday_deviation_d", card, a.WEEKDAY_DEVIATION, "days", "outside the card's own days")
    yield Feature("card_distance_last_km", card, a.DISTANCE_LAST, "km", "from where it was last present")
    yield Feature("card_speed_kmh", card, a.SPEED, "km/h", "impossible travel")


def _merchant() -> Iterator[Feature]:
    merchant, a = MERCHANT, aggregates
    yield from _over("1h 24h 7d 30d", "count", merchant, a.COUNT, "payments", "how busy it is")
    yield from _over("7d 30d", "mean", merchant, a.MEAN, MONEY, "its usual ticket")
    yield from _over(
        "10m 1h", "cards", merchant, a.DISTINCT, "cards", "many cards at once: card testing", input=Input.OTHER
    )
    yield from _over("1h", "declines", merchant, a.FLAGGED, "declines", "card testing", flag=Flag.DECLINED)
    yield from _over("1h", "checks", merchant, a.FLAGGED, "account checks", "card testing", flag=Flag.CHECK)
    yield from _over(
        "24h 30d", "money_back", merchant, a.FLAGGED, "refunds, reversals and voids", "refunds that nobody paid for",
        flag=Flag.MONEY_BACK,
    )  # fmt: skip
    yield from _over("30d", "amount_ratio", merchant, a.AMOUNT_RATIO, "ratio", "this ticket against its usual one")
    yield from _over(
        "24h 7d", "unusual_share", merchant, a.FLAGGED_SHARE, "share", "unusual for their cards", flag=Flag.UNUSUAL
    )
    yield Feature("merchant_since_last_s", merchant, a.SINCE_LAST, "seconds", "hurry")
    yield from _over(
        "24h 7d 30d", "matured_count", merchant, a.COUNT, "payments", "weight of the rate", delay_ms=LABEL_DELAY_MS
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
        window_ms=window_ms("30d"), delay_ms=LABEL_DELAY_MS,
    )  # fmt: skip


def _velocity(entity: Entity) -> Iterator[Feature]:
    """The features that every entity can have, as its row says."""
    velocity, a = entity.velocity, aggregates
    if velocity is None:
        return
    yield from _over(velocity.windows, "count", entity, a.COUNT, "payments", velocity.count)
    yield from _over(velocity.windows, "sum", entity, a.SUM, MONEY, velocity.sum)
    yield from _over(
        velocity.windows, entity.others, entity, a.DISTINCT, entity.others, velocity.others, input=Input.OTHER
    )
    yield from _over(velocity.windows, "declines", entity, a.FLAGGED, "declines", velocity.declines, flag=Flag.DECLINED)
    yield from _over(velocity.windows, "checks", entity, a.FLAGGED, "account checks", velocity.checks, flag=Flag.CHECK)


def _observed(entity: Entity) -> Feature:
    """How much history the features of an entity stand on."""
    return Feature(
        entity.observed_column, entity, aggregates.OBSERVED, "days", "new is not suspicious: it has no habits to break"
    )


CATALOGUE: tuple[Feature, ...] = (
    *_transaction(),
    *_card(),
    *_merchant(),
    *(feature for entity in ENTITIES for feature in _velocity(entity)),
    *(_observed(entity) for entity in ENTITIES),
)
"""Every feature, in the order of model input."""

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOGUE)

FEATURE_FIELDS: tuple[pa.Field, ...] = tuple(pa.field(name, pa.float64()) for name in FEATURE_NAMES)
"""The columns, null where a value is undefined."""

EXACT_FIELDS: tuple[pa.Field, ...] = tuple(pa.field(entity.exact_column, pa.bool_()) for entity in ENTITIES)
"""Per entity: whether its windows saw every transaction that belongs in them; null without the entity."""


@cache
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
    shared = (KERNEL_VERSION, UNUSUAL_Z, USUAL_Z, MIN_HISTORY, MIN_SPREAD, BINS, LATENESS_MS, DUPLICATE_HORIZON_MS)
    definitions = [
        (f.name, f.entity.name, f.aggregate.code, f.window_ms, int(f.input), int(f.flag), f.delay_ms, f.value)
        for f in features
    ]
    return hashlib.sha256(repr((shared, definitions)).encode()).hexdigest()[:16]
