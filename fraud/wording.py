"""How values are said to people: numbers, shares, spans of time, rates, counts of things."""

from __future__ import annotations

HOUR_S = 3_600
DAY_S = 24 * HOUR_S

_PERIODS = (("an hour", 1 / 24, 2.0), ("a day", 1.0, 0.95), ("a week", 7.0, 0.95), ("a month", 30.0, 0.95))
"""Periods of rates: in words, in days, and from how many in it one speaks of it."""

_ENDINGS = (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("ss", "ss"), ("s", ""))
"""Ends of nouns in the plural with those in the singular, the first that fits."""


def format_number(value: float) -> str:
    """Whole from 100 on, with one decimal from 1 on, with two digits below; thousands separated.

    >>> format_number(6.0), format_number(2.3456), format_number(12345.678), format_number(0.1234)
    ('6', '2.3', '12,346', '0.12')
    """
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else f"{value:.2g}"


def format_whole(value: float) -> str:
    """A whole number; what is less than one is called so, as 0 would say that there is none.

    >>> format_whole(1234.5), format_whole(0.2)
    ('1,234', 'less than 1')
    """
    return "less than 1" if 0 < value < 0.5 else f"{value:,.0f}"


def format_share(value: float) -> str:
    """A share in percent, with one decimal from 1 % on and one digit below.

    >>> format_share(0.21947), format_share(0.05), format_share(0.00042), format_share(1e-7)
    ('21.9 %', '5 %', '0.04 %', 'less than 0.01 %')
    """
    if 0 < value < 0.0001:
        return "less than 0.01 %"
    percent = 100 * value
    return f"{f'{percent:.1f}'.removesuffix('.0') if percent >= 1 else f'{percent:.1g}'} %"


def format_duration(seconds: float) -> str:
    """A span of time in the largest unit of which there are two.

    >>> [format_duration(s) for s in (0.4, 1, 90, 5400, 7200, 47 * 3600, 2 * 86400)]
    ['less than a second', '1 second', '90 seconds', '90 minutes', '2 hours', '47 hours', '2 days']
    """
    if abs(seconds) < 0.5:
        return "less than a second"
    for unit, length in (("days", DAY_S), ("hours", HOUR_S), ("minutes", 60)):
        if abs(seconds) >= 2 * length:
            return count_of(seconds / length, unit)
    return count_of(seconds, "seconds")


def format_hours(hours: float) -> str:
    """A span of time that is given in hours.

    >>> format_hours(0.251), format_hours(6.0)
    ('15 minutes', '6 hours')
    """
    return format_duration(hours * HOUR_S)


def format_times(ratio: float) -> str:
    """How an amount stands to what it is compared with; goes on with that.

    >>> [f"{format_times(r)} the mean" for r in (20.4, 3.39, 1.02, 0.3, 0.001)]
    ['20 times the mean', '3.4 times the mean', 'about the mean', '30 % of the mean', 'less than 1 % of the mean']
    """
    if ratio >= 10:
        return f"{ratio:,.0f} times"
    if ratio >= 1.05:
        return f"{format_number(ratio)} times"
    if ratio >= 0.95:
        return "about"
    return "less than 1 % of" if ratio < 0.01 else f"{100 * ratio:.0f} % of"


def count_of(number: float, things: str) -> str:
    """So many things, in singular and plural, as a whole number.

    >>> [count_of(n, "countries") for n in (0, 1, 1234)]
    ['no countries', '1 country', '1,234 countries']
    """
    shown = f"{number:,.0f}"
    if shown == "0":
        return f"no {things.replace(' and ', ' or ')}"
    return f"{shown} {one_of(things) if shown == '1' else things}"


def one_of(things: str) -> str:
    """The singular of things.

    >>> one_of("payments"), one_of("issuer countries"), one_of("e-mail addresses")
    ('payment', 'issuer country', 'e-mail address')
    >>> one_of("refunds, reversals and voids")
    'refund, reversal or void'
    """
    return ", ".join(" or ".join(map(_singular, several.split(" and "))) for several in things.split(", "))


def _singular(things: str) -> str:
    many, one = next(((many, one) for many, one in _ENDINGS if things.endswith(many)), ("", ""))
    return things.removesuffix(many) + one


def rate_of(per_day: float) -> tuple[int, str] | None:
    """How often something happens: a whole number, and the period in which; None where it is less than once a month.

    >>> rate_of(3.39), rate_of(240.0), rate_of(0.3), rate_of(0.001)
    ((3, 'a day'), (10, 'an hour'), (2, 'a week'), None)
    """
    for period, days, least in _PERIODS:
        if per_day * days >= least:
            return round(per_day * days), period
    return None


def format_rate(per_day: float) -> str:
    """How often something happens.

    >>> format_rate(3.39), format_rate(0.3), format_rate(0.001), format_rate(0.0)
    ('about 3 a day', 'about 2 a week', 'fewer than 1 a month', 'none')
    """
    if per_day <= 0:
        return "none"
    found = rate_of(per_day)
    return "fewer than 1 a month" if found is None else f"about {found[0]:,} {found[1]}"
