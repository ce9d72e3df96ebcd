"""Values of features in words, for reasons that people read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from fraud.features import aggregates
from fraud.features.aggregates import Aggregate, Usual
from fraud.features.catalogue import CATALOGUE, Feature
from fraud.features.kernel.layout import Flag, Input
from fraud.money import format_money, to_minor
from fraud.wording import (
    count_of,
    format_duration,
    format_hours,
    format_number,
    format_rate,
    format_share,
    format_times,
    format_whole,
    one_of,
    rate_of,
)

_DAY_MS = 86_400_000

_LEAST_PACE_MS = 7 * _DAY_MS
"""Of shorter stretches the mean of a day says little."""


def describe_value(name: str, value: float | None, base_currency: str, usual: float | None = None) -> str:
    """A feature's value in words, beside what is usual where that is known.

    Args:
        name: of the feature; one that the catalogue does not have is named in plain letters.
        value: its value, None where it is undefined.
        base_currency: of all amounts.
        usual: value of the feature that `usual_of` names, of the same transaction.

    >>> describe_value("card_count_10m", 1.0, "EUR")
    '1 payment of this card in 10 minutes'
    >>> describe_value("card_count_10m", 6.0, "EUR", usual=36.0)
    '6 payments of this card in 10 minutes; usually about 1 a day'
    >>> describe_value("card_amount_ratio_30d", 3.39, "EUR", usual=35.5)
    'the amount is 3.4 times the mean of this card in 30 days; that is EUR 35.50'
    >>> describe_value("card_hour_deviation_h", 0.251, "EUR")
    '15 minutes from the time of day at which this card is usually used'
    >>> describe_value("card_speed_kmh", None, "EUR")
    'how fast this card would have travelled is not known'
    """
    feature = _by_name().get(name)
    known = value is not None and math.isfinite(value)
    if feature is None:
        plain = name.replace("_", " ")
        return f"{plain} is {format_number(value)}" if known and value is not None else f"{plain} is not known"
    if not known or value is None:
        return _absent(feature).format(**_words(feature, ""))
    if feature.unit == "flag":
        either = _FLAGS.get(feature.value) or feature.aggregate.text
        assert isinstance(either, tuple)
        return either[0 if value else 1].format(**_words(feature, ""))
    if grades := _GRADES.get(feature.value):
        most = float(feature.unit.removeprefix("of "))
        return grades[min(len(grades) - 1, max(0, round(value / most * (len(grades) - 1))))]
    shown = _shown(feature, value, base_currency)
    text = _TEXTS.get(feature.value) or feature.aggregate.text
    assert isinstance(text, str)
    words = _words(feature, shown) | {"far": _far(value)}
    return text.format(**words) + _compared(feature, value, usual, base_currency)


_TEXTS = {
    "amount": "the amount is {value}",
    "hour": "paid at {value} UTC",
    "distance_home_km": "{value} km from the cardholder's home",
}
"""Values of the transaction itself, by `Feature.value`."""

_GRADES = {
    "cvv_mismatch": ("the security code matched", "the security code matched in part", "the security code is wrong"),
    "avs_mismatch": ("the address matched", "the address matched in part", "the address is not the cardholder's"),
    "three_ds_doubt": (
        "3-D Secure authenticated the cardholder",
        "3-D Secure was tried, without an answer",
        "the card does not take part in 3-D Secure",
        "3-D Secure failed",
    ),
    "mcc_risk": (
        "an everyday trade",
        "a trade in cash",
        "a trade in what is easily sold again",
        "a trade in what is had at once, as vouchers, bets or money transfers",
    ),
}
"""Graded values of the transaction itself, by `Feature.value`: equal steps from 0 to the largest."""

_FLAGS = {
    "is_night": (
        "paid between midnight and 7 o'clock UTC",
        "not paid at night",
        "whether it was paid at night is not known",
    ),
    "is_weekend": ("paid on a weekend", "paid on a weekday", "on which day it was paid is not known"),
    "is_ecommerce": ("paid online", "not paid online", "whether it was paid online is not known"),
    "is_atm": ("cash from a machine", "not from a cash machine", "whether it came from a cash machine is not known"),
    "is_magstripe": (
        "the magnetic stripe was read, as counterfeits need it",
        "the magnetic stripe was not read",
        "whether the magnetic stripe was read is not known",
    ),
    "is_cross_border": (
        "the merchant is in another country than the issuer",
        "the merchant is in the issuer's country",
        "whether the merchant is in the issuer's country is not known",
    ),
    "is_money_back": (
        "a refund, reversal or void",
        "no refund, reversal or void",
        "whether it gave money back is not known",
    ),
    "is_account_check": (
        "an account check, which moves no money",
        "no account check",
        "whether it only checked the account is not known",
    ),
    "is_declined": ("the issuer declined it", "the issuer approved it", "what the issuer said is not known"),
    "is_contactless": (
        "paid without contact",
        "not paid without contact",
        "whether it was paid without contact is not known",
    ),
    "is_keyed": (
        "the card's data were typed in",
        "the card's data were not typed in",
        "whether the card's data were typed in is not known",
    ),
    "is_on_file": (
        "paid with card data that the merchant keeps",
        "not paid with card data that the merchant keeps",
        "whether the merchant keeps the card's data is not known",
    ),
    "is_merchant_initiated": (
        "recurring, or begun by the merchant",
        "begun by the cardholder",
        "who began the payment is not known",
    ),
    "is_wrong_data": (
        "declined for a wrong number, expiry, PIN or security code",
        "not declined for wrong card data",
        "whether wrong card data were given is not known",
    ),
    "is_over_limit": (
        "declined for lack of funds or over a limit",
        "not declined for funds or limits",
        "whether it was over a limit is not known",
    ),
}
"""Flags of the transaction itself, true, false and not known, by `Feature.value`."""

_ABSENT_OF = {
    "amount": "the amount is not known",
    "hour": "the time of day is not known",
    "distance_home_km": "how far from home it was is not known",
    "cvv_mismatch": "the security code was not asked for",
    "avs_mismatch": "the address was not checked",
    "three_ds_doubt": "3-D Secure was not used",
    "mcc_risk": "the merchant's trade is not known",
}

_THINGS = {
    Input.OTHER: ("at this merchant", "at which merchant"),
    Input.MCC: ("at this kind of merchant", "at which kind of merchant"),
    Input.COUNTRY: ("in this country", "in which country"),
    Input.DEVICE: ("from this device", "from which device"),
    Input.CHANNEL: ("over this channel", "over which channel"),
}
"""Of what IS_NEW asks: in words, and where it is unknown."""

_FLAGGED = {Flag.FRAUD: "turned out to be fraud", Flag.UNUSUAL: "were unusual for their cards"}


def _words(feature: Feature, shown: str) -> dict[str, str]:
    """What the texts of a feature are filled in with."""
    thing, unknown = _THINGS.get(feature.input, ("", ""))
    until = f" up to {_window(feature.delay_ms)} before" if feature.delay_ms else ""
    return {
        "value": shown,
        "units": feature.unit,
        "entity": feature.entity.label,
        "window": _window(feature.window_ms) + until,
        "flag": str(feature.flag.name).lower(),
        "flagged": _FLAGGED.get(feature.flag, ""),
        "thing": thing,
        "unknown": unknown,
    }


_COUNTED = frozenset({aggregates.COUNT, aggregates.DISTINCT, aggregates.FLAGGED})
"""Aggregates whose values are numbers of things, which their unit names."""

_NONE = {
    aggregates.SUM: "nothing",
    aggregates.FLAGGED_SHARE: "none",
    aggregates.FRAUD_NORMAL_SHARE: "none",
}
"""What 0 is called where it means that there is none."""


def _absent(feature: Feature) -> str:
    """What is said of a feature without a value."""
    if feature.value in _FLAGS:
        return _FLAGS[feature.value][2]
    return _ABSENT_OF.get(feature.value, feature.aggregate.absent)


def _far(deviations: float) -> str:
    """How far an amount lies from what is usual.

    >>> [_far(z) for z in (4.0, 1.5, 0.2, -1.5, -4.0)]
    ['far above', 'above', 'in line with', 'below', 'far below']
    """
    if abs(deviations) < _ABOUT:
        return "in line with"
    side = "above" if deviations > 0 else "below"
    return side if abs(deviations) < _FAR else f"far {side}"


_ABOUT, _FAR = 1.0, 2.5
"""Deviations from which an amount is no longer usual, and from which it is far from usual."""


def usual_of(name: str) -> str | None:
    """The feature that says what is usual for this one's card or merchant; None where nothing does.

    >>> usual_of("card_count_10m"), usual_of("card_amount_ratio_30d"), usual_of("card_count_30d")
    ('card_count_30d', 'card_mean_30d', None)
    """
    usual = _usual().get(name)
    return None if usual is None else usual.name


def things_counted_by(name: str) -> str:
    """What a feature is a number of, in the plural; empty where it counts nothing.

    >>> things_counted_by("card_count_10m"), things_counted_by("card_countries_24h"), things_counted_by("card_mean_30d")
    ('payments', 'countries', '')
    """
    feature = _by_name().get(name)
    return feature.unit if feature is not None and feature.aggregate in _COUNTED else ""


def _compared(feature: Feature, value: float | None, usual: float | None, base_currency: str) -> str:
    base = _usual().get(feature.name)
    if base is None or value is None or usual is None or not math.isfinite(value) or not math.isfinite(usual):
        return ""
    if feature.aggregate.usual is Usual.PACE and base.window_ms >= _LEAST_PACE_MS:
        days = (base.window_ms - feature.window_ms) / _DAY_MS
        pace = max(usual - value, 0) / days
        if base.is_money and pace:
            return f"; usually about {_shown(base, pace, base_currency)} a day"
        return f"; usually {format_rate(pace)}"
    shown = "none" if not usual else format_whole(usual) if base.aggregate in _COUNTED else ""
    shown = shown or _shown(base, usual, base_currency)
    if feature.aggregate.usual is not Usual.MEAN:
        return f"; {shown} in {_window(base.window_ms)}"
    return f"; that is {shown}" if feature.window_ms else f"; its mean in {_window(base.window_ms)} is {shown}"


@lru_cache(maxsize=1)
def _usual() -> dict[str, Feature]:
    """What is usual, by the name of the feature that it is compared with."""
    found = {}
    alike: dict[Feature, list[Feature]] = defaultdict(list)
    for feature in CATALOGUE:
        alike[_without_window(feature)].append(feature)
    for feature in CATALOGUE:
        if feature.aggregate.usual is Usual.NOTHING:
            continue
        if feature.aggregate.usual is Usual.MEAN:
            means = [f for f in CATALOGUE if (f.entity, f.aggregate) == (feature.entity, aggregates.MEAN)]
            same = [mean for mean in means if feature.window_ms in (0, mean.window_ms)]
        else:
            same = alike[_without_window(feature)]
        longest = max(same, key=lambda other: other.window_ms, default=feature)
        if longest is not feature:
            found[feature.name] = longest
    return found


def _without_window(feature: Feature) -> Feature:
    """What features have in common that differ in nothing but their window."""
    return replace(feature, name="", why="", window_ms=0)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Feature]:
    return {feature.name: feature for feature in CATALOGUE}


def _shown(feature: Feature, value: float, base_currency: str) -> str:
    """A value with its unit, in the words that its text goes on from."""
    aggregate = feature.aggregate
    if value == 0 and aggregate in _NONE:
        return _NONE[aggregate]
    if special := _SHOWN.get(aggregate):
        return special(feature, value, base_currency)
    if aggregate in _COUNTED:
        return count_of(value, feature.unit)
    if feature.is_money:
        return format_money(to_minor(value, base_currency), base_currency)
    if feature.unit == "seconds":
        return format_duration(value)
    if feature.unit == "share":
        return format_share(value)
    if feature.value == "hour":
        return f"{int(value):02d}:{int(value % 1 * 60):02d}"
    return format_whole(value) if feature.unit.startswith("km") else format_number(value)


def _lately(feature: Feature, value: float, base_currency: str) -> str:
    """What a sum that halves with every half-life stands for, where it came evenly: so much a day."""
    of = f"of this {feature.entity.label}"
    what = f"unusual {feature.unit}" if feature.aggregate is aggregates.DECAYED_UNUSUAL else feature.unit
    per_day = max(value, 0.0) * math.log(2) * _DAY_MS / feature.window_ms
    if feature.is_money:
        shown = format_money(to_minor(per_day, base_currency), base_currency)
        return f"about {shown} a day spent with this {feature.entity.label}" if per_day else "nothing spent"
    found = rate_of(per_day)
    if found is None:
        return f"{'hardly any' if per_day else 'no'} {what} {of}"
    number, period = found
    return f"about {number:,} {one_of(what) if number == 1 else what} {of} {period}"


def _since(feature: Feature, value: float, _: str) -> str:
    return count_of(math.floor(value), feature.unit) if value >= 1 else "less than a day"


_SHOWN: dict[Aggregate, Callable[[Feature, float, str], str]] = {
    **dict.fromkeys((aggregates.DECAYED_COUNT, aggregates.DECAYED_SUM, aggregates.DECAYED_UNUSUAL), _lately),
    aggregates.OBSERVED: _since,
    aggregates.AMOUNT_RATIO: lambda _, value, __: format_times(value),
    aggregates.HOUR_DEVIATION: lambda _, value, __: f"{format_hours(value)} from" if value >= 0.25 else "at",
    aggregates.WEEKDAY_DEVIATION: lambda _, value, __: f"{count_of(value, 'days')} from" if value >= 0.5 else "on",
}
"""Values that are said in another way than their unit says."""


def _window(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    for length, one, many in ((1_440, "24 hours", "days"), (60, "an hour", "hours"), (1, "a minute", "minutes")):
        if minutes == length:
            return one
        if minutes and minutes % length == 0:
            return f"{minutes // length} {many}"
    return "all its history"
