"""What a field or a function can hold, and what a condition leaves of it: nothing left, and it is never true."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Literal = str | float | bool

_SHAPE = re.compile(r"\^(\[[^\]]+\])(?:\{(\d+)(?:,(\d+))?\}|\+)\$")
"""One class of characters, so many times: the form of every pattern of a record's fields."""


@dataclass(frozen=True)
class Values:
    """A set of values, described by what all of them have; the plain one holds everything.

    Attributes:
        low: least number.
        high: greatest.
        low_open: whether `low` itself is left out.
        high_open: whether `high` itself is left out.
        whole: whether numbers are whole.
        letters: the characters of a text, as a class of a regular expression; empty for any.
        shortest: fewest characters of a text.
        longest: most.
        among: the only values; None for any.
        without: values that are left out.
        null: whether null is the only value (True), none (False), or one beside others (None).
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    whole: bool = False
    letters: str = ""
    shortest: int = 0
    longest: float = math.inf
    among: frozenset[Literal] | None = None
    without: frozenset[Literal] = frozenset()
    null: bool | None = None

    def hold(self, value: Literal) -> bool:
        """Whether a value is one of them.

        >>> Values(low=0, whole=True).hold(100.5), Values(letters="[0-9]", shortest=4, longest=4).hold("541")
        (False, False)
        """
        if value in self.without or (self.among is not None and value not in self.among):
            return False
        if isinstance(value, str):
            fits = not self.letters or re.fullmatch(f"{self.letters}*", value) is not None
            return fits and self.shortest <= len(value) <= self.longest
        if isinstance(value, bool):
            return True
        above = value > self.low or (value == self.low and not self.low_open)
        below = value < self.high or (value == self.high and not self.high_open)
        return above and below and not (self.whole and value != math.floor(value))

    def may_have_part(self, part: str) -> bool:
        """Whether a text of them can begin with, end with or contain a part."""
        if self.among is not None:
            return any(isinstance(value, str) and part in value for value in self.among)
        return Values(letters=self.letters, longest=self.longest).hold(part)

    def meet(self, other: Values) -> Values:
        """Those that are in both."""
        among = self.among if other.among is None else other.among
        if self.among is not None and other.among is not None:
            among = self.among & other.among
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Values(
            low=low,
            high=high,
            low_open=low_open,
            high_open=not high_closed,
            whole=self.whole or other.whole,
            letters=self.letters or other.letters,
            shortest=max(self.shortest, other.shortest),
            longest=min(self.longest, other.longest),
            among=among,
            without=self.without | other.without,
            null=self.null if other.null is None else other.null,
        )

    def contradicts(self, other: Values) -> bool:
        """Whether nothing is in both."""
        if self.null is not None and other.null is not None and self.null is not other.null:
            return True
        return other.null is not True and self.meet(other).empty

    @property
    def empty(self) -> bool:
        """Whether nothing is left, null aside."""
        if self.among is not None:
            return not any(self.hold(value) for value in self.among)
        low, high = self.low, self.high
        if self.whole and math.isfinite(low) and math.isfinite(high):
            low = math.floor(low) + 1 if self.low_open else math.ceil(low)
            high = math.ceil(high) - 1 if self.high_open else math.floor(high)
            return low > high or (low == high and low in self.without)
        return low > high or (low == high and (self.low_open or self.high_open or low in self.without))


ANY = Values()
NULL, NOT_NULL = Values(null=True), Values(null=False)


def compared(operator: str, value: Literal) -> Values:
    """The values for which a comparison with a literal is true.

    >>> compared(">", 5.0).meet(compared("<", 3.0)).empty
    True
    """
    if operator in ("=", "<>", "!="):
        one = frozenset([value])
        return replace(NOT_NULL, among=one) if operator == "=" else replace(NOT_NULL, without=one)
    if not isinstance(value, int | float):
        return NOT_NULL
    if operator.startswith(">"):
        return replace(NOT_NULL, low=value, low_open=operator == ">")
    return replace(NOT_NULL, high=value, high_open=operator == "<")


OPPOSITE = {"=": "<>", "<>": "=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
"""The comparison that is true where one is false."""

MIRRORED = {"=": "=", "<>": "<>", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
"""The comparison with its sides exchanged."""


def values_of(schema: Mapping[str, Any], nullable: bool) -> Values:
    """What a field of a record can hold, from its JSON schema.

    Args:
        schema: of the field; of an optional one the alternative that is not null.
        nullable: whether it is optional.
    """
    shape = _SHAPE.fullmatch(schema.get("pattern", ""))
    letters, exactly, most = (shape[1], shape[2], shape[3]) if shape else ("", None, None)
    choices = schema.get("enum")
    return Values(
        low=schema.get("minimum", -math.inf),
        high=schema.get("maximum", math.inf),
        whole=schema.get("type") == "integer",
        letters=letters,
        shortest=max(int(exactly or 0), schema.get("minLength", 0)),
        longest=min(float(most or exactly or math.inf), schema.get("maxLength", math.inf)),
        among=None if choices is None else frozenset(choices),
        null=None if nullable else False,
    )


def merged(*parts: Mapping[str, Values]) -> dict[str, Values]:
    """What several conditions together leave of each term."""
    found: dict[str, Values] = {}
    for part in parts:
        for term, values in part.items():
            found[term] = found[term].meet(values) if term in found else values
    return found


def contradiction(left: Mapping[str, Values], right: Mapping[str, Values]) -> str | None:
    """A term of which two conditions together leave nothing."""
    for term in left.keys() & right.keys():
        if left[term].contradicts(right[term]):
            return term
    return None


def describe(values: Values) -> str | None:
    """What values there are, in words; None where there are any.

    >>> describe(Values(letters="[0-9]", shortest=4, longest=4)), describe(Values(low=0, whole=True))
    ('it is 4 characters of [0-9]', 'it is a whole number of at least 0')
    """
    if values.among is not None:
        return f"it is one of {', '.join(sorted(map(str, values.among)))}"
    if values.letters and math.isfinite(values.longest):
        least = "" if values.shortest == values.longest else f"{values.shortest} to "
        return f"it is {least}{values.longest:g} characters of {values.letters}"
    limits = ("at least", values.low), ("at most", values.high)
    bounds = " and ".join(f"{word} {limit:,.15g}" for word, limit in limits if math.isfinite(limit))
    if values.whole:
        return f"it is a whole number of {bounds}" if bounds else "it is a whole number"
    if bounds:
        return f"it is {bounds}"
    return "it is never null" if values.null is False else None
