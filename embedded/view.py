"""The live terminal view of a run."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from embedded.tally import Tally
from fraud.money import format_amount

_OUTCOME_STYLE = {"decline": "bold red", "review": "yellow"}


def render(tally: Tally, stage: str, rate_per_s: float, seconds: float) -> RenderableType:
    """Draws the state of a run.

    Args:
        tally: the counts.
        stage: what is happening, in words.
        rate_per_s: decisions a second, lately.
        seconds: since the stream began.
    """
    return Panel(
        Group(_figures(tally, rate_per_s), Text(), _alerts(tally)), title=f"fraud demo: {stage}, {seconds:.0f} s"
    )


def _figures(tally: Tally, rate_per_s: float) -> Table:
    counts = tally.fraud_counts()
    behind = max(0, len(tally.fraud_of) - tally.settled)
    table = Table.grid(padding=(0, 3))
    table.add_row(
        _figure("decided", f"{len(tally.alerted_of):,}"),
        _figure("per second", f"{rate_per_s:,.0f}"),
        _figure("in flight", f"{behind:,}"),
        _figure("latency p50", _milliseconds(tally.latency_ms(0.5, recent=True))),
        _figure("p99", _milliseconds(tally.latency_ms(0.99, recent=True))),
    )
    table.add_row(
        _figure("alerts", f"{tally.alerts:,}"),
        _figure("fraud caught", f"{counts['fraud_caught']:,}", "green"),
        _figure("fraud missed", f"{counts['fraud_missed']:,}", "red"),
        _figure("false alerts", f"{counts['false_alerts']:,}"),
        _figure("dead letters", f"{sum(tally.dead_letters.values()):,}"),
    )
    return table


def _figure(name: str, value: str, style: str = "bold") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _alerts(tally: Tally) -> RenderableType:
    if not tally.newest_alerts:
        return Text("No alert yet.", style="dim")
    table = Table(box=None, padding=(0, 2, 0, 0), title="Newest alerts", title_justify="left", expand=True)
    for name in ("time", "outcome", "amount", "score"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", ratio=1)
    for row in reversed(tally.newest_alerts):
        table.add_row(
            row["event_time"].strftime("%H:%M:%S"),
            Text(row["outcome"], _OUTCOME_STYLE.get(row["outcome"], "")),
            Text(format_amount(row["amount_minor"], row["currency"]), justify="right"),
            "-" if row["score"] is None else f"{row['score']:.2f}",
            Text("; ".join(row["reasons"][:3])),
        )
    return table


def render_summary(figures: dict[str, Any]) -> RenderableType:
    """Draws the summary at the end of a run."""
    table = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        shown = (
            "-" if value is None else f"{value:,.3f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"
        )
        table.add_row(Text(name, style="dim"), Text(shown, justify="right"))
    return table
