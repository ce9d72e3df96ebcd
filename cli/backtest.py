"""`fraud backtest`: what a policy or new rules would have done over the archive."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from rich.console import Console

_SHADOW = (
    ("alerts_per_day", "alerts a day", "count"),
    ("caught", "frauds caught", "count"),
    ("good_customers", "good customers hit", "count"),
    ("precision", "precision", "share"),
    ("recall", "recall", "share"),
    ("saved_minor", "saved", "money"),
)
"""Columns of the comparison with what ran in shadow."""


def command(
    rules: Annotated[
        Path | None, typer.Option(help="File of rules to add to the live policy, as if live; same ids replace.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A whole policy to try instead.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Days to look back from the latest archived transaction.")] = 30,
    archive: Annotated[
        str | None, typer.Option(help="Folder or s3:// address with decisions/ and labels/; default: the settings'.")
    ] = None,
    reviews_per_day: Annotated[
        float | None,
        typer.Option(min=0, help="Choose the thresholds that save most within this budget; inf: at these costs."),
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="Cost sheet (YAML), see docs/backtest.md.")] = None,
    maturity_days: Annotated[
        float, typer.Option(min=0, help="Only older transactions are judged; without a label they count as good.")
    ] = 30,
    as_of: Annotated[
        str | None, typer.Option(help="Look back from this time (RFC 3339): later labels and decisions are not seen.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Replay archived decisions through the live policy and a candidate, by the code that decides in production.

    \b
    Examples:
      fraud backtest --rules new.yaml --days 30 --html report.html
      fraud backtest --reviews-per-day 200 --costs costs.yaml
      fraud backtest --reviews-per-day inf --costs costs.yaml
    """
    from adapters.backtest import run_backtest
    from adapters.decision_archive import open_decision_archive
    from adapters.policy_source import open_policy, policy_files, read_bundle
    from adapters.text_files import read_model, read_text
    from fraud.backtest.costs import CostSheet
    from fraud.backtest.page import render_page
    from fraud.features import FEATURE_FIELDS
    from fraud.policy.amend import amend
    from fraud.policy.compiler import compile_policy
    from fraud.rules.fields import fields_of

    settings = open_program("backtest", config, assignments)
    if rules is not None and policy is not None:
        raise MisconfiguredError("--rules, --policy", "give one of them")
    fields = fields_of(FEATURE_FIELDS)
    live = open_policy(settings, fields).current
    bundle = read_bundle(policy_files(str(policy), settings.aws)) if policy is not None else live.bundle
    if rules is not None:
        bundle = amend(bundle, read_text(rules))
    report = run_backtest(
        open_decision_archive(archive, settings),
        live,
        compile_policy(bundle, fields, settings.money.base_currency),
        days=days,
        maturity_days=maturity_days,
        costs=read_model(costs, CostSheet) if costs is not None else CostSheet(),
        as_of=_time(as_of) if as_of is not None else None,
        reviews_per_day=reviews_per_day,
        tell=_tell,
    )
    _tell(None)
    _print(report)
    write_json(json, report)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_page(report), encoding="utf-8")
        print(f"report: {html}")


def _tell(read: int | None) -> None:
    """Progress for people; None ends it."""
    if sys.stderr.isatty():
        sys.stderr.write("\n" if read is None else f"\r{read:,} decisions read")
        sys.stderr.flush()


def _time(text: str) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise MisconfiguredError("--as-of", f"not a time: {text!r}") from None
    if time.tzinfo is None:
        raise MisconfiguredError("--as-of", f"write the offset, e.g. {text}Z")
    return time


def _print(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from fraud.backtest.page import FIGURES, shower

    show = shower(report["base_currency"])
    console = Console()
    console.print(
        f"{report['decisions']:,} decisions from {report['first_event']:%Y-%m-%d} to {report['last_event']:%Y-%m-%d}, "
        f"{report['variants']['live']['mature']:,} mature, {report['known_frauds']:,} known frauds"
    )
    recorded = report["recorded_by_live_version"]
    if recorded["decisions"]:
        console.print(
            f"replay of the live policy differs in {recorded['differing']} of {recorded['decisions']:,} decisions"
        )
    compared = Table("", "live", "candidate", box=None)
    for key, title, form in FIGURES:
        compared.add_row(title, *(show(report["variants"][name][key], form) for name in ("live", "candidate")))
    console.print(compared)
    rules = Table(Column("rule", no_wrap=True), "state", "fired", "frauds", "precision", "alone", "live too", box=None)
    for rule in sorted(report["rules"], key=lambda rule: -rule["fired"]):
        if rule["fired"]:
            counts = (show(rule[key], "count") for key in ("fired", "fraud"))
            precision = show(rule["precision"], "share")
            rules.add_row(
                rule["rule"], rule["state"], *counts, precision, str(rule["alone"]), str(rule["already_alerted"])
            )
    console.print(rules)
    if silent := [rule["rule"] for rule in report["rules"] if not rule["fired"]]:
        console.print(f"never fired: {', '.join(silent)}")
    if "challenger" in report["shadow"] or any(rule["state"] == "shadow" for rule in report["rules"]):
        shadow = Table(Column("without effect", no_wrap=True), *(title for _, title, _ in _SHADOW), box=None)
        for name, figures in report["shadow"].items():
            shadow.add_row(name, *(show(figures[key], form) for key, _, form in _SHADOW))
        console.print(shadow)
    if budget := report.get("budget"):
        _print_budget(console, budget, show)


def _print_budget(console: Console, budget: Mapping[str, Any], show: Callable[[float | None, str], str]) -> None:
    from rich.table import Table

    if not budget["within_budget"]:
        console.print("rules and lists alone ask for more reviews than that; the thresholds add none on balance")
    low, high = budget["range"]["saved_minor_per_day"]
    limit = budget["reviews_per_day_budget"]
    console.print(
        f"thresholds {'at these costs' if limit is None else f'for {limit:g} reviews a day'}: "
        f"{budget['reviews_per_day']:.1f} save "
        f"{show(budget['saved_minor_per_day'], 'money')} a day; 90% of redraws between {show(low, 'money')} and "
        f"{show(high, 'money')}"
    )
    for name, chosen in budget["thresholds"].items():
        review, decline = ("never" if value is None else f"{value:.4f}" for value in chosen.values())
        console.print(f"  {name}: review {review}, decline {decline}")
    curve = Table("budget, reviews a day", "used", "saved a day", box=None)
    for point in budget["curve"]:
        used = (show(point[key], "count") for key in ("reviews_per_day_budget", "reviews_per_day"))
        curve.add_row(*used, show(point["saved_minor_per_day"], "money"))
    console.print(curve)
