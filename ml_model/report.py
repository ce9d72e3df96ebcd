"""The evaluation report: on the terminal, and as one HTML file with model card that needs nothing beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from sklearn.metrics import precision_recall_curve, roc_curve

from fraud.backtest.page import shower
from ml_model.card import card_entries
from ml_model.description import Description
from ml_model.metrics import ScoredCases

HEADLINE = (
    ("auc", "ROC AUC", "number"),
    ("average_precision", "average precision", "number"),
    ("card_precision_at_10", "card precision at 10 a day", "share"),
    ("card_precision_at_50", "card precision at 50 a day", "share"),
    ("card_precision_at_100", "card precision at 100 a day", "share"),
    ("recall_at_fpr_0.001", "recall at 0.1% false positives", "share"),
    ("recall_at_fpr_0.01", "recall at 1% false positives", "share"),
    ("brier", "Brier score", "small"),
    ("fraud_rate", "share of fraud", "small"),
    ("mean_score", "mean score", "small"),
)
"""Rows of the first table: key, title, form."""

ALERTING = (
    ("alerts_per_day", "alerts a day", "count"),
    ("precision", "precision", "share"),
    ("recall", "recall", "share"),
    ("recall_by_money", "recall by money", "share"),
    ("saved_minor_per_day", "saved a day", "money"),
)
"""Columns of the second table."""

FINDING = (
    ("recall_by_card", "compromised cards found", "share"),
    ("cards_in_time", "on the first or second fraud", "share"),
    ("recall_by_case", "cases found", "share"),
    ("hours_to_detect", "hours to the first alert, median", "number"),
)
"""Columns of the third table."""

PARTS = (
    ("cases", "transactions", "count"),
    ("frauds", "frauds", "count"),
    ("auc", "AUC", "number"),
    ("average_precision", "average precision", "number"),
    ("recall", "recall", "share"),
    ("precision", "precision", "share"),
    ("calibration", "said of seen", "number"),
)
"""Columns of the tables of parts."""

CONTRIBUTIONS = (
    ("size", "moves a score by", "number"),
    ("frauds", "of frauds, on average", "number"),
    ("good", "of good transactions, on average", "number"),
)
"""Columns of the table of features."""
MOST_FEATURES = 20

_BY_REVIEW = {"alerting": ALERTING, "finding": FINDING}
_DECIMALS = {"number": 3, "small": 5}
_COUNTED = {"cases", "frauds"}


def render_report(figures: Mapping[str, Any], cases: ScoredCases) -> str:
    """The report as HTML.

    Args:
        figures: of `ml_model.evaluate.evaluation`, with `source` and the `currency` of the amounts.
        cases: what they were measured on, for the curves.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    form = _Form(figures["currency"])
    return environment.from_string(template).render(
        figures=figures,
        headline=HEADLINE,
        by_review=_BY_REVIEW,
        parts=PARTS,
        counted=_COUNTED,
        moved=CONTRIBUTIONS,
        contributions=list(figures["contributions"].items())[:MOST_FEATURES],
        value=form.value,
        interval=form.interval,
        card=card_entries(Description.model_validate(figures["model"])),
        plots=Markup(_plots(figures, cases)),
    )


def print_report(figures: Mapping[str, Any]) -> None:
    """The main tables on the terminal."""
    from rich.console import Console
    from rich.table import Table

    form, console, data = _Form(figures["currency"]), Console(), figures["data"]
    console.print(
        f"model {figures['model']['version']} on {figures['source']}: {data['transactions']:,} transactions of "
        f"{data['cards']:,} cards, {data['frauds']:,} frauds, {data['from']} to {data['until']}, "
        f"amounts in {figures['currency']}"
    )
    table = Table("", "", "90% of redraws", box=None)
    for key, title, kind in HEADLINE:
        figure = figures["headline"][key]
        table.add_row(title, form.value(figure["value"], kind), form.interval(figure, kind))
    console.print(table)
    for part, columns in _BY_REVIEW.items():
        table = Table("a review for", *(title for _, title, _ in columns), box=None)
        for name, row in figures[part].items():
            table.add_row(name, *(form.value(row[key]["value"], kind) for key, _, kind in columns))
        console.print(table)


class _Form:
    """Writes figures for people."""

    def __init__(self, currency: str) -> None:
        self._show = shower(currency)

    def value(self, value: float | None, kind: str) -> str:
        if value is None or kind not in _DECIMALS:
            return self._show(value, kind)
        return f"{value:.{_DECIMALS[kind]}f}"

    def interval(self, figure: Mapping[str, Any], kind: str) -> str:
        if figure["interval"] is None:
            return ""
        low, high = (self.value(bound, kind) for bound in figure["interval"])
        return f"{low} to {high}"


def _plots(figures: Mapping[str, Any], cases: ScoredCases) -> str:
    """Four panels as one inline SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif"}):
        figure = Figure(figsize=(11, 8.5), layout="constrained")
        ranked, missed, reliable, weekly = figure.subplots(2, 2).flat
        precision, recall, _ = precision_recall_curve(cases.fraud, cases.score)
        ranked.step(recall, precision, where="post")
        ranked.set(title="precision by recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        false_positive, true_positive, _ = roc_curve(cases.fraud, cases.score)
        missed.step(np.maximum(false_positive, 1e-5), true_positive, where="post")
        missed.set(
            title="recall by share of good transactions alerted",
            xlabel="share of good transactions alerted",
            ylabel="recall",
            xscale="log",
            xlim=(1e-5, 1),
            ylim=(0, 1.02),
        )
        _draw_reliability(reliable, figures["reliability"])
        _draw_weeks(weekly, figures["by"]["week"])
        for panel in (ranked, missed, reliable, weekly):
            panel.grid(alpha=0.3)
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing)
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def _draw_reliability(panel: Any, bins: Mapping[str, Any]) -> None:
    seen = [row for row in bins.values() if row["fraud_rate"]["value"] > 0]
    x = np.array([row["mean_score"]["value"] for row in seen])
    y = np.array([row["fraud_rate"]["value"] for row in seen])
    panel.errorbar(x, y, yerr=_reach(y, [row["fraud_rate"] for row in seen]), fmt="o", capsize=3)
    ends = [min(x.min(), y.min()) / 2, 1]
    panel.plot(ends, ends, color="black", linestyle=":", linewidth=1)
    panel.set(title="reliability", xlabel="mean score", ylabel="share of fraud", xscale="log", yscale="log")


def _draw_weeks(panel: Any, weeks: Mapping[str, Any]) -> None:
    known = [(name, row["average_precision"]) for name, row in weeks.items() if row["average_precision"]["value"]]
    y = np.array([figure["value"] for _, figure in known])
    names = [name for name, _ in known]
    panel.errorbar(names, y, yerr=_reach(y, [figure for _, figure in known]), fmt="o", capsize=3)
    panel.tick_params(axis="x", rotation=60)
    panel.set(title="average precision by week", ylabel="average precision", ylim=(0, 1.02))


def _reach(values: Any, figures: list[Mapping[str, Any]]) -> Any:
    """Lengths of error bars below and above."""
    bounds = np.array([figure["interval"] or [figure["value"]] * 2 for figure in figures])
    return np.maximum(0, [values - bounds[:, 0], bounds[:, 1] - values])
