"""Which media type answers a request: content negotiation by weights (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

JSON, CSV = "application/json", "text/csv"

_PARTS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')
"""Of a list: what stands between commas, of which those in quotes do not count."""

_WEIGHT = re.compile(r";\s*q\s*=\s*([^;\s]*)\s*(?:;|$)", re.IGNORECASE)
_NUMBER = re.compile(r"[01]?(?:\.\d{0,9})?")


def media_type(header: str) -> str:
    """The type that a `Content-Type` names, without its parameters.

    >>> media_type("Application/JSON; charset=utf-8")
    'application/json'
    """
    return header.split(";", 1)[0].strip().lower()


def acceptable(accept: str, offered: Sequence[str]) -> str | None:
    """The offered type that an `Accept` header prefers; of several alike the first, None where it allows none.

    A more precise entry speaks for its type: `*/*, text/csv;q=0` takes anything but CSV. What is no media range is
    passed over, and a header that names none allows all.

    >>> offered = ["application/json", "text/csv"]
    >>> acceptable("text/csv;q=0.9, application/json;q=0.1", offered)
    'text/csv'
    >>> acceptable("text/html, image/gif, *; q=.2, */*; q=.2", offered)
    'application/json'
    >>> acceptable("text/html", offered) is None
    True
    """
    ranges = list(_ranges(accept)) or [("*", "*", 1.0)]
    weights = [_weight(kind, ranges) for kind in offered]
    best = max(weights)
    return offered[weights.index(best)] if best > 0 else None


def _ranges(accept: str) -> Iterator[tuple[str, str, float]]:
    """Type, subtype and weight of each entry."""
    for entry in _PARTS.findall(accept):
        kind = media_type(entry)
        main, slash, sub = ("*", "/", "*") if kind == "*" else kind.partition("/")
        weight = _WEIGHT.search(entry)
        given = "1" if weight is None else weight[1]
        if main and slash and sub and _NUMBER.fullmatch(given) and given not in ("", "."):
            yield main, sub, min(float(given), 1.0)


def _weight(kind: str, ranges: Sequence[tuple[str, str, float]]) -> float:
    """The weight of a type, as the most precise entry that covers it says; 0 where none does."""
    main, _, sub = kind.partition("/")
    covering = [
        (entry[0] != "*", entry[1] != "*", entry[2])
        for entry in ranges
        if entry[0] in (main, "*") and entry[1] in (sub, "*")
    ]
    return max(covering, default=(False, False, 0.0))[2]
