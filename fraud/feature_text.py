"""Values of features in words, for reasons that people read."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from fraud.features.catalogue import CATALOGUE, Aggregate, Feature
from fraud.money import format_money, minor_digits
from fraud.rules.text import ABSENT, format_duration, format_number

_TEXTS = {
    Aggregate.COUNT: "{value} transactions of this {entity} in {window}",
    Aggregate.SUM: "{value} spent with this {entity} in {window}",
    Aggregate.MEAN: "the mean of this {entity} in {window} is {value}",
    Aggregate.STD: "amounts of this {entity} vary by {value} in {window}",
    Aggregate.MAX: "the largest amount of this {entity} in {window} is {value}",
    Aggregate.DISTINCT: "{value} {unit} for this {entity} in {window}",
    Aggregate.FLAGGED: "{value} {unit} of this {entity} in {window}",
    Aggregate.AMOUNT_RATIO: "the amount is {value} times the mean of this {entity} in {window}",
    Aggregate.SINCE_FLAGGED: "{value} since the last unusual transaction of this {entity}",
    Aggregate.SINCE_FRAUD_NORMAL: "{value} since the last known fraud at this {entity} that only the place explains",
    Aggregate.SINCE_LAST: "{value} since the last transaction of this {entity}",
    Aggregate.LOG_Z: "the amount is {value} deviations from what this {entity} usually spends",
    Aggregate.ROBUST_Z: "the amount is {value} deviations from what this {entity} usually spends",
    Aggregate.HOUR_DEVIATION: "{value} hours from the time of day at which this {entity} is usually used",
    Aggregate.WEEKDAY_DEVIATION: "{value} days from the weekday on which this {entity} is usually used",
    Aggregate.DECAYED_COUNT: "{value} transactions of this {entity}, each counting half after {window}",
    Aggregate.DECAYED_SUM: "{value} spent with this {entity}, each amount counting half after {window}",
    Aggregate.DISTANCE_LAST: "{value} km from where this {entity} was last present",
    Aggregate.SPEED: "{value} km/h from where this {entity} was last present",
}
"""What reads better than the entry's own words; the others say their unit and why they matter."""


_PACED = (Aggregate.COUNT, Aggregate.SUM, Aggregate.FLAGGED)
"""What adds up over time, so that its usual is a pace."""

_LEVELS = (Aggregate.MEAN, Aggregate.STD, Aggregate.MAX, Aggregate.DISTINCT, Aggregate.FLAGGED_SHARE)
"""What is compared with the same over the longest window."""

_AGAINST_MEAN = (Aggregate.AMOUNT_RATIO, Aggregate.LOG_Z, Aggregate.ROBUST_Z)
"""What compares the amount with the entity's usual one."""

_DAY_MS = 86_400_000

_LEAST_PACE_MS = 7 * _DAY_MS
"""Of shorter stretches the mean of a day says little."""


def describe_value(name: str, value: float | None, base_currency: str, usual: float | None = None) -> str:
    """A feature's value in words, beside what is usual where that is known.

    Args:
        name: of the feature; one that the catalogue does not have is named as it is.
        value: its value, None where it is undefined.
        base_currency: of all amounts.
        usual: value of the feature that `usual_of` names, of the same transaction.

    >>> describe_value("card_count_10m", 6.0, "EUR")
    '6 transactions of this card in 10 minutes'
    >>> describe_value("card_count_10m", 6.0, "EUR", usual=36.0)
    '6 transactions of this card in 10 minutes; its usual is 1 a day'
    >>> describe_value("card_amount_ratio_30d", 12.4, "EUR", usual=35.5)
    'the amount is 12.4 times the mean of this card in 30 days; that is EUR 35.50'
    """
    feature = _by_name().get(name)
    shown = ABSENT
    if value is not None and math.isfinite(value):
        if feature is not None and feature.unit == "flag":
            return feature.why if value else f"not: {feature.why}"
        shown = _shown(feature, value, base_currency)
    if feature is None:
        return f"{name} is {shown}"
    template = _TEXTS.get(feature.aggregate, "{name} is {value}: {why}")
    window = _window(feature.window_ms)
    text = template.format(
        name=name, value=shown, why=feature.why, unit=feature.unit, entity=feature.entity.label, window=window
    )
    return text + _compared(feature, value, usual, base_currency)


def usual_of(name: str) -> str | None:
    """The feature that tells what is usual for this one's card or merchant; None where nothing does.

    >>> usual_of("card_count_10m"), usual_of("card_amount_ratio_30d"), usual_of("card_count_30d")
    ('card_count_30d', 'card_mean_30d', None)
    """
    usual = _usual().get(name)
    return None if usual is None else usual.name


def _compared(feature: Feature, value: float | None, usual: float | None, base_currency: str) -> str:
    base = _usual().get(feature.name)
    if base is None or value is None or usual is None or not math.isfinite(value) or not math.isfinite(usual):
        return ""
    if feature.aggregate in _PACED and base.window_ms >= _LEAST_PACE_MS:
        days = (base.window_ms - feature.window_ms) / _DAY_MS
        return f"; its usual is {_shown(base, max(usual - value, 0) / days, base_currency)} a day"
    shown = _shown(base, usual, base_currency)
    if feature.aggregate is Aggregate.AMOUNT_RATIO:
        return f"; that is {shown}"
    if feature.aggregate in _AGAINST_MEAN:
        return f"; its mean in {_window(base.window_ms)} is {shown}"
    return f"; {shown} in {_window(base.window_ms)}"


@lru_cache(maxsize=1)
def _usual() -> dict[str, Feature]:
    """What is usual, by the name of the feature that it is compared with."""
    found = {}
    for feature in CATALOGUE:
        if feature.aggregate in (*_PACED, *_LEVELS):
            same = [other for other in CATALOGUE if _measures_the_same(feature, other)]
        elif feature.aggregate in _AGAINST_MEAN:
            means = [f for f in CATALOGUE if (f.entity, f.aggregate) == (feature.entity, Aggregate.MEAN)]
            same = [mean for mean in means if feature.window_ms in (0, mean.window_ms)]
        else:
            continue
        longest = max(same, key=lambda other: other.window_ms, default=feature)
        if longest is not feature:
            found[feature.name] = longest
    return found


def _measures_the_same(one: Feature, other: Feature) -> bool:
    """Whether two features differ in nothing but their window."""
    return replace(one, name="", why="", window_ms=0) == replace(other, name="", why="", window_ms=0)


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Feature]:
    return {feature.name: feature for feature in CATALOGUE}


def _shown(feature: Feature | None, value: float, base_currency: str) -> str:
    if feature is None:
        return format_number(value)
    if feature.unit == "base currency":
        return format_money(round(value * 10 ** minor_digits(base_currency)), base_currency)
    if feature.unit == "seconds":
        return format_duration(value)
    if feature.unit == "share":
        return f"{100 * value:.3g} %"
    return format_number(value)


def _window(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    for length, one, many in ((1_440, "24 hours", "days"), (60, "an hour", "hours"), (1, "a minute", "minutes")):
        if minutes == length:
            return one
        if minutes and minutes % length == 0:
            return f"{minutes // length} {many}"
    return "all its history"
