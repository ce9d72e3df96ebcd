"""Values of features in words, for reasons that people read."""

from __future__ import annotations

import math
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
    Aggregate.DISTANCE_LAST: "{value} km from where this {entity} was last present",
    Aggregate.SPEED: "{value} km/h from where this {entity} was last present",
}
"""What reads better than the entry's own words; the others say their unit and why they matter."""


def describe_value(name: str, value: float | None, base_currency: str) -> str:
    """A feature's value in words.

    Args:
        name: of the feature; one that the catalogue does not have is named as it is.
        value: its value, None where it is undefined.
        base_currency: of all amounts.

    >>> describe_value("card_count_10m", 6.0, "EUR")
    '6 transactions of this card in 10 minutes'
    >>> describe_value("card_amount_ratio_30d", 12.4, "EUR")
    'the amount is 12.4 times the mean of this card in 30 days'
    """
    feature = _by_name().get(name)
    shown = ABSENT
    if value is not None and math.isfinite(value):
        if feature is not None and feature.unit == "flag":
            return feature.why if value else f"not: {feature.why}"
        shown = _shown(feature, value, base_currency)
    if feature is None:
        return f"{name} is {shown}"
    template = _TEXTS.get(feature.aggregate)
    if template is not None:
        window = _window(feature.window_ms)
        return template.format(value=shown, unit=feature.unit, entity=feature.entity.label, window=window)
    return f"{name} is {shown}: {feature.why}"


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
