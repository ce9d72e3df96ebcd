"""The report of a backtest as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from fraud.money import format_money

FIGURES = (
    ("alerts", "alerts", "count"),
    ("alerts_per_day", "alerts a day", "count"),
    ("reviews", "reviews", "count"),
    ("declines", "declines", "count"),
    ("caught", "frauds caught", "count"),
    ("missed", "frauds missed", "count"),
    ("caught_minor", "money caught", "money"),
    ("missed_minor", "money missed", "money"),
    ("good_alerted", "good transactions hit", "count"),
    ("good_customers", "good customers hit", "count"),
    ("precision", "precision", "share"),
    ("recall", "recall", "share"),
    ("recall_by_money", "recall by money", "share"),
    ("saved_minor", "saved at stated costs", "money"),
)
"""Rows of the comparison: key, title, form."""

BROKEN_DOWN = ("alerts", "caught", "missed", "good_alerted", "saved_minor")

WIDTH, HEIGHT = 640, 180


def render_page(report: Mapping[str, Any]) -> str:
    """The report as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    titles = {key: (title, form) for key, title, form in FIGURES}
    return environment.from_string(template).render(
        report={"budget": None} | dict(report),
        figures=FIGURES,
        broken_down=BROKEN_DOWN,
        titles=titles,
        show=shower(report["base_currency"]),
        draw=draw,
        width=WIDTH,
        height=HEIGHT,
    )


def shower(currency: str) -> Callable[[float | None, str], str]:
    """What writes a figure in its form: `money` in minor units, `share` or `count`; None as a dash."""

    def show(value: float | None, form: str) -> str:
        if value is None:
            return "-"
        if form == "money":
            return format_money(round(value), currency)
        return f"{value:.1%}" if form == "share" else f"{value:,.1f}".removesuffix(".0")

    return show


class Chart(NamedTuple):
    """Lines scaled into a drawing of `WIDTH` by `HEIGHT`.

    Attributes:
        lines: the value of an SVG polyline for each name.
        ticks: places and values of the vertical axis.
        first: value at the left end of the horizontal axis.
        last: value at its right end.
    """

    lines: Mapping[str, str]
    ticks: Sequence[tuple[float, float]]
    first: Any
    last: Any


def draw(series: Mapping[str, Sequence[tuple[Any, float]]]) -> Chart:
    """Draws lines on one scale that contains zero.

    Args:
        series: points of each line, all at the same places, in their order; the horizontal axis counts them where
            they are not numbers.

    >>> draw({"live": [("mon", 0), ("tue", 5)], "candidate": [("mon", 10), ("tue", 10)]}).lines
    {'live': '0.0,180.0 640.0,90.0', 'candidate': '0.0,0.0 640.0,0.0'}
    """
    names = [x for x, _ in next(iter(series.values()))]
    xs = names if all(isinstance(x, int | float) for x in names) else list(range(len(names)))
    ys = [y for points in series.values() for _, y in points]
    low, high = min(*ys, 0), max(*ys, 0)
    across, up = (xs[-1] - xs[0]) or 1, (high - low) or 1

    def place(x: float, y: float) -> str:
        return f"{(x - xs[0]) / across * WIDTH:.1f},{(high - y) / up * HEIGHT:.1f}"

    lines = {
        name: " ".join(place(x, y) for x, (_, y) in zip(xs, points, strict=True)) for name, points in series.items()
    }
    ticks = [((high - y) / up * HEIGHT, y) for y in dict.fromkeys((high, (high + low) / 2, low, 0))]
    return Chart(lines, ticks, names[0], names[-1])
