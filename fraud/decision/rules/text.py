"""Reason texts: templates whose fields are filled in from the transaction."""

from __future__ import annotations

import datetime as dt
import math
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fraud.decision.rules.errors import ExpressionError, did_you_mean
from fraud.decision.rules.fields import Fields, Kind
from fraud.money import format_money, to_minor

ABSENT = "unknown"
"""What stands where a value is null."""


@dataclass(frozen=True)
class Template:
    """A checked template: literal pieces, each followed by a field with its format (None after the last)."""

    pieces: tuple[tuple[str, str | None, str], ...]
    fields: frozenset[str]
    base_currency: str

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text for one transaction.

        Args:
            values: the transaction's values by field name; those of `fields` must be there.
        """
        parts = []
        for literal, field, form in self.pieces:
            parts.append(literal)
            if field is not None:
                value = values[field]
                absent = value is None or (isinstance(value, float) and not math.isfinite(value))
                parts.append(ABSENT if absent else self._format(field, form, value, values))
        return "".join(parts)

    def _format(self, field: str, form: str, value: Any, values: Mapping[str, Any]) -> str:
        if form == "money":
            currency = values["currency"] if field == "amount_minor" else self.base_currency
            minor = round(value) if field.endswith("_minor") else to_minor(value, currency)
            return format_money(minor, currency)
        return FORMATS[form](value)


def parse_template(text: str, fields: Fields, base_currency: str) -> Template:
    """Checks a template: known fields, known formats that suit them.

    Args:
        text: the template, e.g. `{card_count_10m} transactions in 10 minutes`.
        fields: the fields it may use.
        base_currency: currency of all money but `amount_minor`, which comes in the transaction's own. Fields whose
            names end in `_minor` hold minor units, all others major ones.

    Raises:
        ExpressionError: with the position of the fault and, where possible, a suggestion.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ExpressionError(text, 0, str(error).lower(), "write {{ and }} for braces") from None
    pieces: list[tuple[str, str | None, str]] = []
    used: set[str] = set()
    for literal, field, form, conversion in parts:
        if field is None:
            pieces.append((literal, None, ""))
            continue
        position = max(text.find("{" + field), 0)
        if field not in fields:
            raise ExpressionError(text, position, f"unknown field {field!r}", did_you_mean(field, fields))
        form = form or fields[field].kind.value
        suited = _SUITED[fields[field].kind]
        if conversion or form not in suited:
            raise ExpressionError(text, position, f"no format {form!r} for a {fields[field].kind}", f"one of {suited}")
        pieces.append((literal, field, form))
        used.add(field)
        if field == "amount_minor" and form == "money":
            used.add("currency")
    return Template(tuple(pieces), frozenset(used), base_currency)


def format_number(value: float) -> str:
    """At most three significant decimals, thousands separated.

    >>> format_number(6.0), format_number(2.3456), format_number(12345.678)
    ('6', '2.35', '12,346')
    """
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_share(value: float) -> str:
    """A share in percent.

    >>> format_share(0.219), format_share(0.05)
    ('21.9 %', '5 %')
    """
    return f"{100 * value:.3g} %"


def format_duration(seconds: float) -> str:
    """A span of time in its largest sensible unit.

    >>> [format_duration(s) for s in (40, 90, 7200, 3 * 86400)]
    ['40 s', '2 min', '2 h', '3 days']
    """
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= (2 * length if unit == "days" else length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


FORMATS: dict[str, Callable[[Any], str]] = {
    "number": format_number,
    "whole": lambda value: f"{value:,.0f}",
    "percent": format_share,
    "duration": format_duration,
    "text": str,
    "boolean": lambda value: "yes" if value else "no",
    "time": lambda value: value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
}
"""Formats by name; `money` besides, which needs a currency."""

_SUITED: dict[Kind, tuple[str, ...]] = {
    Kind.NUMBER: ("number", "whole", "percent", "duration", "money"),
    Kind.TEXT: ("text",),
    Kind.BOOL: ("boolean",),
    Kind.TIME: ("time",),
}
