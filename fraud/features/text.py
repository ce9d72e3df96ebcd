"""Values of features in words, for reasons that people read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from fraud.entities import Entity
from fraud.features import aggregates
from fraud.features.aggregates import Aggregate, Usual
from fraud.features.catalogue import Feature
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


@dataclass(frozen=True)
class ValueText:
    """How values of one name are said.

    Attributes:
        name: of the values.
        feature: that has them; None where the catalogue in force has none of this name, which is said in plain letters.
        usual: the feature that says what is usual for this one's card or merchant; None where nothing does.
    """

    name: str
    feature: Feature | None = None
    usual: Feature | None = None

    @property
    def usual_name(self) -> str | None:
        """Name of the feature that says what is usual.

        >>> from fraud.features.catalogue import CATALOGUE
        >>> texts = texts_of(CATALOGUE)
        >>> [texts[name].usual_name for name in ("card_count_10m", "card_amount_ratio_30d", "card_count_30d")]
        ['card_count_30d', 'card_mean_30d', None]
        """
        return None if self.usual is None else self.usual.name

    @property
    def things(self) -> str:
        """What the values are numbers of, in the plural; empty where they count nothing.

        >>> from fraud.features.catalogue import CATALOGUE
        >>> texts = texts_of(CATALOGUE)
        >>> [texts[name].things for name in ("card_count_10m", "card_countries_24h", "card_mean_30d")]
        ['payments', 'countries', '']
        """
        return self.feature.unit if self.feature is not None and self.feature.aggregate in _COUNTED else ""

    def describe(self, value: float | None, base_currency: str, usual: float | None = None) -> str:
        """A value in words, beside what is usual where that is known.

        Args:
            value: None where it is undefined.
            base_currency: of all amounts.
            usual: value of the feature that `usual_name` names, of the same transaction.

        >>> from fraud.features.catalogue import CATALOGUE
        >>> texts = texts_of(CATALOGUE)
        >>> texts["card_count_10m"].describe(1.0, "EUR")
        '1 payment of this card in 10 minutes'
        >>> texts["card_count_10m"].describe(6.0, "EUR", usual=36.0)
        '6 payments of this card in 10 minutes; usually about 1 a day'
        >>> texts["card_amount_ratio_30d"].describe(3.39, "EUR", usual=35.5)
        'the amount is 3.4 times the mean of this card in 30 days; that is EUR 35.50'
        >>> texts["card_speed_kmh"].describe(None, "EUR")
        'how fast this card would have travelled is not known'
        >>> ValueText("no_such_feature").describe(2.5, "EUR")
        'no such feature is 2.5'
        """
        feature = self.feature
        known = value is not None and math.isfinite(value)
        if feature is None:
            plain = self.name.replace("_", " ")
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
        return text.format(**words) + _compared(feature, value, self.usual, usual, base_currency)


def texts_of(features: Iterable[Feature]) -> dict[str, ValueText]:
    """How values of the features of a catalogue are said, by their names."""
    features = tuple(features)
    usual = _usual(features)
    return {feature.name: ValueText(feature.name, feature, usual.get(feature.name)) for feature in features}


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

_OTHERS = {
    "card_token": ("with this card", "with which card"),
    "card_last_four": ("with a card of these last digits", "what the card's last digits are"),
    "bin": ("with a card of this BIN", "which BIN the card has"),
    "issuer_country": ("with a card of this country", "which country the card is of"),
    "customer_id": ("by this customer", "by which customer"),
    "email_hash": ("with this e-mail address", "with which e-mail address"),
    "shipping_address_hash": ("to this address", "to which address"),
    "device_id": ("from this device", "from which device"),
    "ip_address": ("from this IP address", "from which IP address"),
    "merchant_id": ("at this merchant", "at which merchant"),
    "merchant_name": ("at a merchant of this name", "what the merchant is called"),
    "merchant_country": ("in this country", "in which country"),
    "mcc": ("at this kind of merchant", "at which kind of merchant"),
    "terminal_id": ("at this terminal", "at which terminal"),
    "currency": ("in this currency", "in which currency"),
    "response_code": ("with this answer of the issuer", "what the issuer answered"),
}
"""Of what IS_NEW asks where it is `Entity.other`, by its column: in words, and where it is unknown."""

_THINGS = {
    Input.MCC: _OTHERS["mcc"],
    Input.COUNTRY: _OTHERS["merchant_country"],
    Input.DEVICE: _OTHERS["device_id"],
    Input.CHANNEL: ("over this channel", "over which channel"),
}
"""Of what IS_NEW asks otherwise."""

_PAID = frozenset({"merchant_id", "merchant_name", "merchant_country", "mcc", "terminal_id"})
"""Columns of who is paid; whatever else is found by them pays."""

_FLAGGED = {Flag.FRAUD: "turned out to be fraud", Flag.UNUSUAL: "were unusual for their cards"}

_ONE_FLAGGED = {
    Flag.DECLINED: "declined payment",
    Flag.UNUSUAL: "unusual payment",
    Flag.FRAUD: "fraudulent payment",
    Flag.MONEY_BACK: "refund, reversal or void",
    Flag.CHECK: "account check",
}


def _words(feature: Feature, shown: str) -> dict[str, str]:
    """What the texts of a feature are filled in with."""
    thing, unknown = (
        _OTHERS[feature.entity.other] if feature.input is Input.OTHER else _THINGS.get(feature.input, ("", ""))
    )
    until = f" up to {_window(feature.delay_ms)} before" if feature.delay_ms else ""
    return {
        "value": shown,
        "units": feature.unit,
        "entity": feature.entity.label,
        "window": _window(feature.window_ms) + until,
        "one_flagged": _ONE_FLAGGED.get(feature.flag, ""),
        "flagged": _FLAGGED.get(feature.flag, ""),
        "thing": thing,
        "unknown": unknown,
        "paid": "was paid" if _PAID.issuperset(feature.entity.columns) else "has paid",
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


def _compared(feature: Feature, value: float, base: Feature | None, usual: float | None, base_currency: str) -> str:
    """What a value says beside what is usual, by the feature that says so."""
    if base is None or usual is None or not math.isfinite(usual):
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


def _usual(features: Sequence[Feature]) -> dict[str, Feature]:
    """What is usual, by the name of the feature that it is compared with."""
    found = {}
    alike: dict[Feature, list[Feature]] = defaultdict(list)
    means: dict[tuple[Entity, int], list[Feature]] = defaultdict(list)
    for feature in features:
        alike[_without_window(feature)].append(feature)
        if feature.aggregate == aggregates.MEAN:
            means[feature.entity, feature.delay_ms].append(feature)
    for feature in features:
        if feature.aggregate.usual is Usual.NOTHING:
            continue
        if feature.aggregate.usual is Usual.MEAN:
            of_entity = means[feature.entity, feature.delay_ms]
            same = [mean for mean in of_entity if feature.window_ms in (0, mean.window_ms)]
        else:
            same = alike[_without_window(feature)]
        longest = max(same, key=lambda other: other.window_ms, default=feature)
        if longest.aggregate != feature.aggregate or longest.window_ms > feature.window_ms:
            found[feature.name] = longest
    return found


def _without_window(feature: Feature) -> Feature:
    """What features have in common that differ in nothing but their window."""
    return replace(feature, name="", why="", window_ms=0)


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
    what = f"unusual {feature.unit}" if feature.aggregate == aggregates.DECAYED_UNUSUAL else feature.unit
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
