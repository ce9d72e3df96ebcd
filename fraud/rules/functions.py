"""The functions that an expression may call; there are no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from fraud.rules.fields import Kind


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        arguments: kinds of its arguments; the last repeats where `repeats` is set.
        result: kind of its result.
        build: makes the Polars expression.
        meaning: its documentation.
        repeats: whether more arguments of the last kind may follow.
    """

    arguments: tuple[Kind, ...]
    result: Kind
    build: Callable[..., pl.Expr]
    meaning: str
    repeats: bool = False


def _great_circle_km(lat: pl.Expr, lon: pl.Expr, other_lat: pl.Expr, other_lon: pl.Expr) -> pl.Expr:
    """Haversine on a sphere of the mean Earth radius (IUGG): 6371.0088 km."""
    half_lat = ((other_lat - lat).radians() / 2).sin()
    half_lon = ((other_lon - lon).radians() / 2).sin()
    chord = half_lat**2 + lat.radians().cos() * other_lat.radians().cos() * half_lon**2
    return 2 * 6371.0088 * chord.sqrt().clip(0, 1).arcsin()


_N, _T, _TIME = Kind.NUMBER, Kind.TEXT, Kind.TIME

FUNCTIONS: dict[str, Function] = {
    "abs": Function((_N,), _N, lambda x: x.abs(), "absolute value"),
    "round": Function((_N,), _N, lambda x: x.round(0), "nearest whole number"),
    "floor": Function((_N,), _N, lambda x: x.floor(), "next lower whole number"),
    "ceil": Function((_N,), _N, lambda x: x.ceil(), "next higher whole number"),
    "least": Function((_N, _N), _N, lambda *x: pl.min_horizontal(*x), "smallest that is not null", repeats=True),
    "greatest": Function((_N, _N), _N, lambda *x: pl.max_horizontal(*x), "largest that is not null", repeats=True),
    "length": Function((_T,), _N, lambda x: x.str.len_chars().cast(pl.Float64), "characters of a text"),
    "lower": Function((_T,), _T, lambda x: x.str.to_lowercase(), "text in lower case"),
    "upper": Function((_T,), _T, lambda x: x.str.to_uppercase(), "text in upper case"),
    "starts_with": Function((_T, _T), Kind.BOOL, lambda x, y: x.str.starts_with(y), "whether a text begins so"),
    "ends_with": Function((_T, _T), Kind.BOOL, lambda x, y: x.str.ends_with(y), "whether a text ends so"),
    "contains": Function(
        (_T, _T), Kind.BOOL, lambda x, y: x.str.contains(y, literal=True), "whether a text holds another, literally"
    ),
    "hour": Function((_TIME,), _N, lambda x: x.dt.hour().cast(pl.Float64), "hour of the day in UTC, 0 to 23"),
    "weekday": Function((_TIME,), _N, lambda x: x.dt.weekday().cast(pl.Float64), "day of the week in UTC, 1 = Monday"),
    "seconds_between": Function(
        (_TIME, _TIME),
        _N,
        lambda x, y: (y - x).dt.total_milliseconds().cast(pl.Float64) / 1000,
        "seconds from the first time to the second",
    ),
    "distance_km": Function(
        (_N, _N, _N, _N), _N, _great_circle_km, "great-circle distance of (latitude, longitude) and another, degrees"
    ),
}
"""By name. `coalesce(a, b, …)` and `in_list(field, 'list')` besides; the parser has them, since their kinds vary."""
