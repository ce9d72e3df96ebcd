"""Reason texts: templates whose fields are filled in from the transaction."""

from __future__ import annotations

import datetime as dt
import math
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fraud.decision.rules.errors import ExpressionError, did_you_mean
from fraud.decision.rules.fields import Fields, Kind, text_of
from fraud.features.text import ValueText
from fraud.money import format_money, to_minor
from fraud.wording import count_of, format_duration, format_hours, format_number, format_share, format_times

ABSENT = "unknown"
"""What stands where a value is null and nothing can be left out."""

_CLAUSES = re.compile(r"(?=[,;] )")

_Piece = tuple[str, str | None, str]
"""Literal text, followed by a field with its format; None where none follows."""


@dataclass(frozen=True)
class Template:
    """A checked template.

    Attributes:
        clauses: of pieces, each clause but the first with the comma or semicolon before it.
        fields: those whose values it is filled in from.
        texts: how the values of those are said that need words.
        base_currency: of all money but `amount_minor`.
    """

    clauses: tuple[tuple[_Piece, ...], ...]
    fields: frozenset[str]
    texts: Mapping[str, ValueText]
    base_currency: str

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text for one transaction. Of what follows a comma or semicolon, what has no value is left out.

        Args:
            values: the transaction's values by field name; those of `fields` must be there.
        """
        first, *others = (self._said(clause, values) for clause in self.clauses)
        return "".join([first.replace(_NOTHING, ABSENT), *(said for said in others if _NOTHING not in said)])

    def _said(self, clause: tuple[_Piece, ...], values: Mapping[str, Any]) -> str:
        return "".join(
            literal if field is None else literal + self._value(field, form, values) for literal, field, form in clause
        )

    def _value(self, field: str, form: str, values: Mapping[str, Any]) -> str:
        value = values[field]
        known = not (value is None or (isinstance(value, float) and not math.isfinite(value)))
        if form == _WORDS:
            text = self.texts[field]
            compared = None if text.usual_name is None else values.get(text.usual_name)
            return text.describe(value if known else None, self.base_currency, compared)
        return self._format(field, form, value, values) if known else _NOTHING

    def _format(self, field: str, form: str, value: Any, values: Mapping[str, Any]) -> str:
        if form == _COUNTED:
            return count_of(value, self.texts[field].things)
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
    clauses: list[list[_Piece]] = [[]]
    used: set[str] = set()
    texts: dict[str, ValueText] = {}
    for literal, field, form, conversion in parts:
        before, *after = _CLAUSES.split(literal)
        for ended in (before, *after[:-1]) if after else ():
            clauses[-1].append((ended, None, ""))
            clauses.append([])
        literal = after[-1] if after else before
        if field is None:
            clauses[-1].append((literal, None, ""))
            continue
        position = max(text.find("{" + field), 0)
        if field not in fields:
            raise ExpressionError(text, position, f"unknown field {field!r}", did_you_mean(field, fields))
        form = form or fields[field].kind.value
        suited = _suited(field, fields)
        if conversion or form not in suited:
            raise ExpressionError(text, position, f"no format {form!r} for a {fields[field].kind}", f"one of {suited}")
        clauses[-1].append((literal, field, form))
        used.add(field)
        if form in (_COUNTED, _WORDS):
            texts[field] = text_of(field, fields)
            usual = texts[field].usual_name if form == _WORDS else None
            used |= {usual} if usual is not None else set()
        if field == "amount_minor" and form == "money":
            used.add("currency")
    return Template(tuple(map(tuple, clauses)), frozenset(used), texts, base_currency)


def _suited(field: str, fields: Fields) -> tuple[str, ...]:
    """The formats that a field may have."""
    suited = _SUITED[fields[field].kind]
    return (*suited, _COUNTED) if text_of(field, fields).things else suited


FORMATS: dict[str, Callable[[Any], str]] = {
    "number": format_number,
    "whole": lambda value: f"{value:,.0f}",
    "percent": format_share,
    "duration": format_duration,
    "hours": format_hours,
    "times": format_times,
    "text": str,
    "boolean": lambda value: "yes" if value else "no",
    "time": lambda value: value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
}
"""Formats by name, of values alone."""

_NOTHING = "\0"
"""Stands for a value that there is not, until its clause is left out; no text of YAML holds it."""

_COUNTED, _WORDS = "counted", "words"

FORMAT_NAMES = (*FORMATS, "money", _COUNTED, _WORDS)
"""All formats: `money` needs a currency, `counted` and `words` the catalogue of features."""

_SUITED: dict[Kind, tuple[str, ...]] = {
    Kind.NUMBER: ("number", "whole", "percent", "duration", "hours", "times", "money", "words"),
    Kind.TEXT: ("text",),
    Kind.BOOL: ("boolean",),
    Kind.TIME: ("time",),
}
