"""The functions that an expression may call; there are no others."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from fraud.decision.rules.fields import Kind
from fraud.decision.rules.terms import LANGUAGE, OfRow, Operation, divided, strict
from fraud.decision.rules.values import ANY, Values


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        arguments: kinds of its arguments; the last repeats where `repeats` is set.
        result: kind of its result.
        operation: its two meanings, over columns and for one row.
        meaning: its documentation.
        repeats: whether more arguments of the last kind may follow.
        values: what the result can be.
    """

    arguments: tuple[Kind, ...]
    result: Kind
    operation: Operation
    meaning: str
    repeats: bool = False
    values: Values = ANY


def _great_circle_km(lat: pl.Expr, lon: pl.Expr, other_lat: pl.Expr, other_lon: pl.Expr) -> pl.Expr:
    """Haversine on a sphere of the mean Earth radius (IUGG): 6371.0088 km."""
    half_lat = ((other_lat - lat).radians() / 2).sin()
    half_lon = ((other_lon - lon).radians() / 2).sin()
    chord = half_lat**2 + lat.radians().cos() * other_lat.radians().cos() * half_lon**2
    return 2 * 6371.0088 * chord.sqrt().clip(0, 1).arcsin()


def _great_circle_km_of_row(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    half_lat = _sine(math.radians(other_lat - lat) / 2)
    half_lon = _sine(math.radians(other_lon - lon) / 2)
    cosines = _cosine(math.radians(lat)) * _cosine(math.radians(other_lat))
    chord = half_lat * half_lat + cosines * (half_lon * half_lon)
    return 2 * 6371.0088 * math.asin(min(math.sqrt(chord), 1.0)) if chord >= 0.0 else math.nan


def _sine(angle: float) -> float:
    return math.sin(angle) if math.isfinite(angle) else math.nan


def _cosine(angle: float) -> float:
    return math.cos(angle) if math.isfinite(angle) else math.nan


def _whole(rounding: Callable[[float], int]) -> Callable[..., OfRow]:
    """Of what is not finite there is no whole number: it stays."""
    return strict(lambda x: float(rounding(x)) if math.isfinite(x) else x)


def _most(better: Callable[[float, float], bool]) -> Callable[..., OfRow]:
    """Of the values that are numbers; without one, whatever there is."""

    def build(*parts: OfRow) -> OfRow:
        def of_row(row: Mapping[str, Any]) -> float | None:
            found: float | None = None
            for part in parts:
                value = part(row)
                if value is not None and (found is None or found != found or better(value, found)):
                    found = value
            return found

        return of_row

    return build


def _folded(ascii_case: Callable[[str], str], columns: Callable[[pl.Expr], pl.Expr]) -> Operation:
    """Another case of letters. Beyond ASCII it depends on the version of Unicode, so Polars alone decides there."""

    def of_text(text: str) -> str:
        return ascii_case(text) if text.isascii() else str(pl.select(columns(pl.lit(text))).item())

    return Operation(columns, strict(of_text))


def _bucket_of_row(text: str, trial: str) -> float:
    """The first 32 bits of a hash, as a share of all there are, in hundredths of a percent."""
    first = int.from_bytes(hashlib.blake2b(f"{trial}/{text}".encode(), digest_size=4).digest(), "big")
    return first * 10_000 // 2**32 / 100


def _bucket(text: pl.Expr, trial: pl.Expr) -> pl.Expr:
    def of_both(both: pl.Series) -> pl.Series:
        found = (
            None if row["text"] is None or row["trial"] is None else _bucket_of_row(row["text"], row["trial"])
            for row in both
        )
        return pl.Series(list(found), dtype=pl.Float64)

    both = pl.struct(text.alias("text"), trial.alias("trial"))
    return both.map_batches(of_both, return_dtype=pl.Float64, is_elementwise=True)


_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_THURSDAY = 3  # 1970-01-01, counted from Monday as 0
_WHOLE = Values(whole=True)
_N, _T, _TIME = Kind.NUMBER, Kind.TEXT, Kind.TIME

FUNCTIONS: dict[str, Function] = {
    "abs": Function((_N,), _N, Operation(lambda x: x.abs(), strict(abs)), "absolute value", values=Values(low=0)),
    "round": Function((_N,), _N, Operation(lambda x: x.round(0), _whole(round)), "nearest whole number", values=_WHOLE),
    "floor": Function(
        (_N,), _N, Operation(lambda x: x.floor(), _whole(math.floor)), "next lower whole number", values=_WHOLE
    ),
    "ceil": Function(
        (_N,), _N, Operation(lambda x: x.ceil(), _whole(math.ceil)), "next higher whole number", values=_WHOLE
    ),
    "least": Function(
        (_N, _N), _N, Operation(pl.min_horizontal, _most(lambda x, y: x < y)), "smallest that is not null", repeats=True
    ),
    "greatest": Function(
        (_N, _N), _N, Operation(pl.max_horizontal, _most(lambda x, y: x > y)), "largest that is not null", repeats=True
    ),
    "length": Function(
        (_T,),
        _N,
        Operation(lambda x: x.str.len_chars().cast(pl.Float64), strict(lambda x: float(len(x)))),
        "characters of a text",
        values=_WHOLE,
    ),
    "lower": Function(
        (_T,),
        _T,
        _folded(str.lower, lambda x: x.str.to_lowercase()),
        "text in lower case",
        values=Values(letters="[^A-Z]"),
    ),
    "upper": Function(
        (_T,),
        _T,
        _folded(str.upper, lambda x: x.str.to_uppercase()),
        "text in upper case",
        values=Values(letters="[^a-z]"),
    ),
    "starts_with": Function(
        (_T, _T),
        Kind.BOOL,
        Operation(lambda x, y: x.str.starts_with(y), strict(str.startswith)),
        "whether the first text starts with the second",
    ),
    "ends_with": Function(
        (_T, _T),
        Kind.BOOL,
        Operation(lambda x, y: x.str.ends_with(y), strict(str.endswith)),
        "whether the first text ends with the second",
    ),
    "contains": Function(
        (_T, _T),
        Kind.BOOL,
        Operation(lambda x, y: x.str.contains(y, literal=True), strict(str.__contains__)),
        "whether the first text contains the second, literally",
    ),
    "bucket": Function(
        (_T, _T),
        _N,
        Operation(_bucket, strict(_bucket_of_row)),
        "from 0 to below 100, evenly, the same for ever for a text and the name of a trial",
        values=Values(0, 100),
    ),
    "hour": Function(
        (_TIME,),
        _N,
        Operation(lambda x: x.dt.hour().cast(pl.Float64), strict(lambda x: float(x % _DAY_MS // _HOUR_MS))),
        "hour of the day in UTC, 0 to 23",
        values=Values(0, 23, whole=True),
    ),
    "weekday": Function(
        (_TIME,),
        _N,
        Operation(
            lambda x: x.dt.weekday().cast(pl.Float64), strict(lambda x: float((x // _DAY_MS + _THURSDAY) % 7 + 1))
        ),
        "day of the week in UTC, 1 = Monday",
        values=Values(1, 7, whole=True),
    ),
    "seconds_between": Function(
        (_TIME, _TIME),
        _N,
        Operation(
            lambda x, y: divided((y - x).dt.total_milliseconds().cast(pl.Float64), pl.lit(1000.0)),
            strict(lambda x, y: (y - x) / 1000),
        ),
        "seconds from the first time to the second",
    ),
    "distance_km": Function(
        (_N, _N, _N, _N),
        _N,
        Operation(_great_circle_km, strict(_great_circle_km_of_row)),
        "great-circle distance of (latitude, longitude) and another, degrees",
    ),
}
"""By name. `coalesce(a, b, …)` and `in_list(field, 'list')` besides; the parser has them, since their kinds vary."""

OPERATIONS: dict[str, Operation] = LANGUAGE | {name: function.operation for name, function in FUNCTIONS.items()}
"""All operations that a term can apply."""
