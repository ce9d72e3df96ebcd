"""`fraud produce --report`: draws and measures what a seed and a campaign plan generate."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fraud.errors import MisconfiguredError
from fraud.money import format_amount
from producer.campaigns.plan import load_plan
from producer.config import ProducerConfig
from producer.data_generator import Generated, generate
from producer.economy import draw_economy
from producer.published import PUBLISHED
from producer.realism import History

REPORT_DAYS = 60
_TOP = 25


def write_report(config: ProducerConfig, currency: str, folder: Path) -> dict[str, Any]:
    """Generates a history, writes `report.json`, `report.md` and `report.png` and prints the table.

    Returns:
        The figures of `report.json`.

    Raises:
        MisconfiguredError: the folder cannot be written, or there is nothing to measure.
    """
    economy = draw_economy(config.seed, config.cards, config.merchants)
    stream = generate(economy, load_plan(config.campaigns), config.first_day, currency)
    history = History(list[Generated](islice(stream, config.days or REPORT_DAYS)), currency)
    if not history.is_fraud[history.learned :].any():
        raise MisconfiguredError("--report", "no fraud to measure; ask for more --days or --cards")
    figures = measure(history)
    text = table_of(figures, currency)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
        (folder / "report.md").write_text(text)
        draw(history, figures, folder / "report.png")
    except OSError as error:
        raise MisconfiguredError(f"--report {folder}", error.strerror or str(error)) from None
    print(text)
    print(f"written to {folder}: report.json, report.md, report.png")
    return figures


def measure(history: History) -> dict[str, Any]:
    """The figures of a report."""
    frame = history.frame
    amount, fraud = pl.col("billing_amount_minor"), pl.col("is_fraud")
    by_campaign = (
        frame.filter(fraud)
        .group_by("campaign")
        .agg(
            pl.len().alias("transactions"),
            pl.col("case_id").n_unique().alias("cases"),
            amount.median().alias("median_minor"),
        )
    )
    by_mcc = frame.group_by("mcc").agg((pl.len() / frame.height).alias("share"), amount.median().alias("median_minor"))
    raw = history.raw_fields()
    minor = frame["billing_amount_minor"].to_numpy()
    return {
        "transactions": frame.height,
        "fraud_share": float(history.is_fraud.mean()),
        "fraud_share_of_value": float(minor[history.is_fraud].sum() / minor.sum()),
        "ap_raw_fields": history.average_precision(raw),
        "ap_with_behaviour": history.average_precision(raw | history.window_features()),
        "published": [
            {"figure": p.name, "generated": round(p.measure(frame), 3), "published": p.value, "source": p.source}
            for p in PUBLISHED
        ],
        "separability": {entry.name: round(entry.auc, 4) for entry in history.separability()},
        "campaigns": by_campaign.sort("transactions", descending=True).to_dicts(),
        "channels": _shares(frame, "channel"),
        "entry_modes": _shares(frame, "entry_mode"),
        "mccs": by_mcc.sort("share", descending=True).to_dicts(),
    }


def table_of(figures: dict[str, Any], currency: str) -> str:
    """The figures as Markdown."""

    def median(row: dict[str, Any]) -> str:
        return format_amount(round(row["median_minor"]), currency)

    lines = [
        "# Generated transactions",
        "",
        f"{figures['transactions']:,} transactions; fraud is {figures['fraud_share']:.3%} of them and "
        f"{figures['fraud_share_of_value']:.3%} of their value.",
        f"Average precision: {figures['ap_raw_fields']:.3f} from raw fields, "
        f"{figures['ap_with_behaviour']:.3f} with behaviour.",
        "",
        "| campaign | transactions | cases | median amount |",
        "|---|---:|---:|---:|",
        *(
            f"| {row['campaign']} | {row['transactions']} | {row['cases']} | {median(row)} |"
            for row in figures["campaigns"]
        ),
        "",
        "| published figure | generated | published |",
        "|---|---:|---:|",
        *(f"| {row['figure']} | {row['generated']} | {row['published']} |" for row in figures["published"]),
        "",
        "| single field | AUC |",
        "|---|---:|",
        *(f"| {name} | {auc:.3f} |" for name, auc in list(figures["separability"].items())[:_TOP]),
        "",
        "| MCC | share | median amount |",
        "|---|---:|---:|",
        *(f"| {row['mcc']} | {row['share']:.1%} | {median(row)} |" for row in figures["mccs"]),
        "",
    ]
    return "\n".join(lines)


def draw(history: History, figures: dict[str, Any], file: Path) -> None:
    """Draws eight panels into an image."""
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    frame = history.frame
    genuine, fraud = frame.filter(~pl.col("is_fraud")), frame.filter("is_fraud")
    figure = Figure(figsize=(18, 18), layout="constrained")
    axes = iter(figure.subplots(4, 2).flat)
    amounts = next(axes)
    mccs = [row["mcc"] for row in figures["mccs"]]
    amounts.boxplot(
        [frame.filter(pl.col("mcc") == mcc)["tx_amount"].to_numpy() for mcc in mccs],
        tick_labels=mccs,
        showfliers=False,
    )
    amounts.set(title="amount by MCC, most frequent first", yscale="log", ylabel="base currency")
    for title, part, places in (("hour (UTC)", "hour", range(24)), ("weekday, 1 is Monday", "weekday", range(1, 8))):
        panel = next(axes)
        # A history has not as many days of every weekday.
        times = frame["event_time"].dt.truncate("1h" if part == "hour" else "1d").unique()
        occasions = np.maximum(1, _counts(times, part, places))
        for name, rows in (("genuine", genuine), ("fraud", fraud)):
            shares = _counts(rows["event_time"], part, places) / occasions
            panel.plot(list(places), shares / max(1e-12, shares.sum()), label=name, marker=".")
        panel.set(title=title, ylabel="share of transactions")
        panel.legend()
    per_card = next(axes)
    per_card.hist(frame.group_by("card_token").len()["len"].to_numpy(), bins=60)
    per_card.set(title="transactions of a card", ylabel="cards")
    between = next(axes)
    gaps = frame.select(pl.col("event_time").sort().dt.epoch("ms").diff().over("card_token"))["event_time"].drop_nulls()
    between.hist(np.log10(np.maximum(gaps.to_numpy() / 3_600_000, 1e-3)), bins=80)
    between.set(title="time between a card's transactions", xlabel="log10 hours")
    campaigns = next(axes)
    daily = fraud.group_by(pl.col("event_time").dt.date().alias("date"), "campaign").len().sort("date")
    for (name,), rows in daily.group_by("campaign", maintain_order=True):
        campaigns.plot(rows["date"].to_list(), rows["len"].to_list(), label=name, marker=".", linewidth=0.7)
    dates = ConciseDateFormatter(campaigns.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    campaigns.xaxis.set_major_formatter(dates)
    campaigns.set(title="fraud by campaign and day")
    campaigns.legend()
    amounts_of = next(axes)
    bins = np.linspace(0, 4, 60)
    for name, rows in (("genuine", genuine), ("fraud", fraud)):
        logs = np.log10(np.maximum(1, rows["tx_amount"].to_numpy()))
        amounts_of.hist(logs, bins=bins.tolist(), density=True, alpha=0.5, label=name)
    amounts_of.set(title="amount", xlabel="log10 base currency")
    amounts_of.legend()
    alone = next(axes)
    top = list(figures["separability"].items())[:_TOP][::-1]
    alone.barh([name for name, _ in top], [auc for _, auc in top])
    alone.axvline(0.9, color="black", linestyle=":")
    alone.set(title="how well each single field predicts fraud (AUC)", xlim=(0.5, 1.0))
    figure.savefig(file, dpi=70)


def _counts(times: pl.Series, part: str, places: range) -> np.ndarray:
    """How many of the times fall into each hour or weekday."""
    return np.bincount(getattr(times.dt, part)().to_numpy(), minlength=places.stop)[places.start :]


def _shares(frame: pl.DataFrame, column: str) -> dict[str, float]:
    counts = frame[column].value_counts(sort=True)
    return {name: round(count / frame.height, 4) for name, count in counts.iter_rows()}
