"""The reference page of features. Generated, so it is current."""

from __future__ import annotations

from collections.abc import Iterator

from fraud.features.catalogue import CATALOGUE, DAY_MS, HOUR_MS, MINUTE_MS, Aggregate, Entity, Feature, Flag, Input

_MEANINGS: dict[Aggregate, str] = {
    Aggregate.COUNT: "number of transactions in the window",
    Aggregate.SUM: "sum in the window",
    Aggregate.MEAN: "mean in the window; null without transactions",
    Aggregate.STD: "standard deviation in the window; null below two transactions",
    Aggregate.MAX: "largest value in the window; null without transactions",
    Aggregate.DISTINCT: "distinct values in the window; missing ones are not counted",
    Aggregate.IS_NEW: "1 when no transaction of the window has this one's value; null where this one has none",
    Aggregate.FLAGGED: "transactions in the window that are flagged",
    Aggregate.FLAGGED_SHARE: "their share of the window's transactions; null without any",
    Aggregate.FRAUD_NORMAL_SHARE: "share of the window's transactions that are fraud at an amount usual for their card",
    Aggregate.AMOUNT_RATIO: "this amount over the window's mean; null without transactions",
    Aggregate.SINCE_FLAGGED: "time since the window's latest flagged transaction; null without one",
    Aggregate.SINCE_FRAUD_NORMAL: "time since the window's latest fraud at an amount usual for its card; null without",
    Aggregate.SINCE_LAST: "time since the latest transaction not after this one; null without one",
    Aggregate.DECAYED_COUNT: "transactions, each halved with every half-life since it happened",
    Aggregate.DECAYED_SUM: "sum, each amount halved with every half-life since it happened",
    Aggregate.DECAYED_UNUSUAL: "unusual transactions, each halved with every half-life since it happened",
    Aggregate.LOG_Z: "deviation of the amount's logarithm from the history's mean, in standard deviations",
    Aggregate.ROBUST_Z: "deviation of the amount's logarithm from the history's median, in robust deviations",
    Aggregate.UNUSUAL: "1 when the robust deviation is above the limit for unusual amounts",
    Aggregate.HOUR_DEVIATION: "distance of this time of day from the history's circular mean",
    Aggregate.WEEKDAY_DEVIATION: "distance of this weekday from the history's circular mean; null where it has none",
    Aggregate.DISTANCE_LAST: "great-circle distance from the last card-present place; null without both places",
    Aggregate.SPEED: "that distance over the time in between, at least a minute",
    Aggregate.VALUE: "of the transaction itself",
}
_INPUTS = {
    Input.TIME: "event time",
    Input.AMOUNT: "amount",
    Input.COUNTRY: "merchant's country",
    Input.DEVICE: "device",
    Input.MCC: "merchant category",
    Input.CHANNEL: "channel",
}
_FLAGS = {Flag.DECLINED: "declined", Flag.UNUSUAL: "unusual for the card", Flag.FRAUD: "fraud by an arrived label"}
_NEEDS_AMOUNT = (
    Aggregate.SUM, Aggregate.MEAN, Aggregate.STD, Aggregate.MAX, Aggregate.AMOUNT_RATIO, Aggregate.DECAYED_SUM,
    Aggregate.LOG_Z, Aggregate.ROBUST_Z, Aggregate.UNUSUAL,
)  # fmt: skip


def features_page(features: tuple[Feature, ...] = CATALOGUE) -> str:
    """The page, in Markdown."""
    lines = [
        "# Features: reference",
        "",
        "Generated from `fraud/features/catalogue.py`. What windows, late events and nulls mean: "
        "[features](../features.md).",
        "",
        f"{len(features)} features, in the order of the model's inputs. All are 64-bit floats.",
    ]
    for entity in Entity:
        found = [feature for feature in features if feature.entity is entity]
        if found:
            lines += [
                "",
                f"## Of the {entity.label}",
                "",
                "| feature | aggregate | window | input | unit | why it matters |",
            ]
            lines += ["|---|---|---|---|---|---|", *_rows(found)]
    used = {feature.aggregate for feature in features}
    lines += ["", "## Aggregates", "", "| aggregate | meaning |", "|---|---|"]
    lines += [f"| {_title(aggregate)} | {meaning} |" for aggregate, meaning in _MEANINGS.items() if aggregate in used]
    return "\n".join(lines) + "\n"


def _rows(features: list[Feature]) -> Iterator[str]:
    for f in features:
        yield f"| `{f.name}` | {_title(f.aggregate)} | {_window(f)} | {_input(f)} | {f.unit} | {f.why} |"


def _title(aggregate: Aggregate) -> str:
    return aggregate.name.lower().replace("_", " ")


def _window(feature: Feature) -> str:
    if not feature.window_ms:
        return ""
    if feature.aggregate > Aggregate.SINCE_FRAUD_NORMAL:
        return f"half-life {duration(feature.window_ms)}"
    delay = f", ending {duration(feature.delay_ms)} before" if feature.delay_ms else ""
    return f"{duration(feature.window_ms)}{delay}"


def _input(feature: Feature) -> str:
    if feature.flag:
        return _FLAGS[feature.flag]
    if feature.aggregate in (Aggregate.DISTINCT, Aggregate.IS_NEW):
        if feature.input is Input.OTHER:
            return "merchant" if feature.entity is Entity.CARD else "card"
        return _INPUTS[feature.input]
    return "amount" if feature.aggregate in _NEEDS_AMOUNT else ""


def duration(ms: int) -> str:
    """A whole number of days, hours or minutes.

    >>> duration(600_000), duration(86_400_000)
    ('10 min', '24 h')
    """
    if ms % DAY_MS == 0 and ms > DAY_MS:
        return f"{ms // DAY_MS} d"
    return f"{ms // HOUR_MS} h" if ms % HOUR_MS == 0 else f"{ms // MINUTE_MS} min"
