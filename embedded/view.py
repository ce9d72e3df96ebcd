"""The live terminal view of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from embedded.tally import RunTally
from fraud.backtest.cases import CaseFigures
from fraud.money import format_money
from fraud.wording import format_duration

_OUTCOME_STYLE = {"decline": "bold red", "review": "yellow"}


class LiveView:
    """Redraws the state of a run on a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4)
        self._started = time.monotonic()

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, tally: RunTally, stage: str, rate_per_s: float) -> None:
        """Draws the state."""
        self._live.update(render(tally, stage, rate_per_s, time.monotonic() - self._started))


class PlainView:
    """Prints the state of a run as a line now and then, with the newest alert: for logs and pipes."""

    _EVERY_S = 5.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._printed_at = 0.0
        self._stage = ""
        self._alert: dict[str, Any] | None = None

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, tally: RunTally, stage: str, rate_per_s: float) -> None:
        """Prints a line when the stage changes, and every few seconds."""
        now = time.monotonic()
        first_alert = self._alert is None and bool(tally.newest_alerts)
        if stage == self._stage and now - self._printed_at < self._EVERY_S and not first_alert:
            return
        self._stage, self._printed_at = stage, now
        self._console.print(
            f"{stage} {now - self._started:.0f} s: decided {len(tally.alerted_of):,} ({rate_per_s:,.0f}/s), "
            f"alerts {tally.alerts:,}, latency p50 {_milliseconds(tally.latency_ms(0.5, recent=True))}, "
            f"p99 {_milliseconds(tally.latency_ms(0.99, recent=True))}{_answers(tally)}",
            soft_wrap=True,
            highlight=False,
        )
        if tally.newest_alerts and tally.newest_alerts[-1] is not self._alert:
            self._alert = tally.newest_alerts[-1]
            self._console.print(f"  {_alert_line(self._alert)}", soft_wrap=True, highlight=False, markup=False)


def _answers(tally: RunTally) -> str:
    p50, p99 = (_milliseconds(tally.answer_ms(quantile)) for quantile in (0.5, 0.99))
    return f", answered in the call {tally.answered:,}, p50 {p50}, p99 {p99}" if tally.answered else ""


def _alert_line(row: dict[str, Any]) -> str:
    amount = format_money(row["amount_minor"], row["currency"])
    score = "" if row["score"] is None else f" score {row['score']:.2f}"
    return f"{row['outcome']} {amount}{score}: {'; '.join(row['reasons'][:3])}"


def render(tally: RunTally, stage: str, rate_per_s: float, seconds: float) -> RenderableType:
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


def _figures(tally: RunTally, rate_per_s: float) -> Table:
    counts = tally.fraud_counts()
    table = Table.grid(padding=(0, 3))
    table.add_row(
        _figure("decided", f"{len(tally.alerted_of):,}"),
        _figure("per second", f"{rate_per_s:,.0f}"),
        _figure("in flight", f"{tally.lost:,}"),
        _figure("latency p50", _milliseconds(tally.latency_ms(0.5, recent=True))),
        _figure("p99", _milliseconds(tally.latency_ms(0.99, recent=True))),
    )
    if tally.answered:
        table.add_row(
            _figure("answered in the call", f"{tally.answered:,}"),
            _figure("answers p50", _milliseconds(tally.answer_ms(0.5))),
            _figure("p99", _milliseconds(tally.answer_ms(0.99))),
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


def _alerts(tally: RunTally) -> RenderableType:
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
            Text(format_money(row["amount_minor"], row["currency"]), justify="right"),
            "-" if row["score"] is None else f"{row['score']:.2f}",
            Text("; ".join(row["reasons"][:3])),
        )
    return table


_COUNTS = (
    *("first_alert_s", "sent", "decided", "refused", "lost", "duplicated", "dead_letters", "scored_by_endpoint"),
    *(
        "scored_by_in_process",
        "scored_by_rules_only",
        "alerts",
        "answered",
        "answer_p50_ms",
        "answer_p99_ms",
        "latency_p50_ms",
        "latency_p99_ms",
        "tx_per_s",
    ),
    *("fraud_caught", "fraud_missed", "false_alerts", "precision", "recall"),
)


def render_summary(figures: dict[str, Any], currency: str) -> RenderableType:
    """Draws the summary at the end of a run.

    Args:
        figures: of `RunTally.figures`.
        currency: the base currency.
    """
    counts = Table.grid(padding=(0, 2))
    for name in _COUNTS:
        if name in figures:
            counts.add_row(Text(name, style="dim"), Text(_count(figures[name]), justify="right"))
    return Group(counts, Text(), *_worth(figures, currency))


def _worth(figures: dict[str, Any], currency: str) -> Iterator[RenderableType]:
    """What the alerts were worth: cases, cards and money, and each campaign."""
    payments, cases, true, cards, found = (figures[f"live_{name}"] for name in CaseFigures._fields)
    saved, lost = figures["saved_minor"], figures["lost_minor"]
    yield _grid(
        [
            ("cases opened", f"{cases:,} ({_share(cases, payments, 2)} of {payments:,} payments)"),
            ("with a fraud in them", f"{true:,} (precision {_share(true, cases)})"),
            ("cards compromised", f"{cards:,}"),
            ("found by their second fraud", f"{found:,} (recall {_share(found, cards)})"),
            ("money saved", f"{format_money(saved, currency)} of {format_money(saved + lost, currency)}"),
        ]
    )
    if not figures["campaigns"]:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), title="Fraud by campaign", title_justify="left")
    for name in ("", "frauds", "cards", "found", "time to detect", "saved"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, of in figures["campaigns"].items():
        took_ms = of["detection_ms"]
        took = "-" if took_ms is None else "at once" if took_ms == 0 else format_duration(took_ms / 1000)
        counts = (f"{of[count]:,}" for count in ("frauds", "cards", "cards_found"))
        table.add_row(name.replace("_", " "), *counts, took, format_money(of["saved_minor"], currency))
    yield Text()
    yield table


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, shown in rows:
        table.add_row(Text(name, style="dim"), shown)
    return table


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"


def _share(part: int, whole: int, digits: int = 0) -> str:
    return f"{100 * part / whole:.{digits}f} %" if whole else "-"
