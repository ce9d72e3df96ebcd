"""The report of the time machine as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

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

_WIDTH, _HEIGHT = 640, 180


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
        line=_line,
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


def _line(points: Sequence[tuple[float, float]]) -> str:
    """Points scaled into the drawing, as the value of an SVG polyline."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x_span, y_span = (max(xs) - min(xs)) or 1, (max(*ys, 0) - min(*ys, 0)) or 1
    scaled = (((x - min(xs)) / x_span * _WIDTH, _HEIGHT - (y - min(*ys, 0)) / y_span * _HEIGHT) for x, y in points)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled)
