"""`fraud backtest`: what a policy or new rules would have done over the archive, or over a recording."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.recordings.bad_rows import OnBadRow
from cli.train import LabelDelayOption, OnBadRowOption
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from rich.console import Console

    from fraud.decision.policy.bundle import PolicyBundle
    from fraud.decision.policy.compiled import CompiledPolicy
    from fraud.settings import Settings

_DAYS = 30
_MATURITY_DAYS = 30.0

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
        Path | None,
        typer.Option(help="File of rules to add to the live policy as live ones; the same id replaces a rule."),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A whole policy to try instead.")] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Days to look back from the latest transaction; default: {_DAYS}, all of a recording."
        ),
    ] = None,
    archive: Annotated[
        str | None, typer.Option(help="Folder or s3:// address with decisions/ and labels/; default: the settings'.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Recording instead, decided first by the live policy: a file, a folder or a pattern."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping of its columns: a name in config/mappings or a file.")
    ] = None,
    label_delay_days: LabelDelayOption = None,
    on_bad_row: OnBadRowOption = OnBadRow.FAIL,
    reviews_per_day: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Choose live rules and thresholds that save the most within so many cases a day; inf: costs only.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Folder for the candidate with the rules and thresholds chosen for --reviews-per-day."),
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="Cost sheet (YAML), see docs/backtest.md.")] = None,
    maturity_days: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Evaluate only transactions older than this; without a label they count as good. Default: "
            f"{_MATURITY_DAYS:g}; the delay of a recording's labels.",
        ),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Look back from this time (RFC 3339): later labels and decisions are not seen.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Replay archived decisions through the live policy and a candidate, by the code that decides in production.

    A recording is first decided as the job would have: features computed from its beginning, scores by the model of the
    settings, outcomes by the live policy.

    \b
    Examples:
      fraud backtest --rules new.yaml --days 30 --html report.html
      fraud backtest --reviews-per-day 200 --costs costs.yaml
      fraud backtest --reviews-per-day inf --costs costs.yaml --write chosen
      fraud backtest --data transactions.csv --mapping mapping.yaml --rules new.yaml
    """
    from adapters.archive.decision_archive import open_decision_archive
    from adapters.files.text_files import read_model, read_text
    from adapters.policy.source import open_policy, policy_files, read_bundle
    from fraud.backtest.costs import CostSheet
    from fraud.backtest.page import render_page
    from fraud.decision.policy.amend import amend
    from fraud.decision.policy.bundle import ROOT
    from fraud.decision.policy.compiler import compile_policy
    from fraud.decision.rules.fields import fields_of
    from fraud.features import catalogue_of
    from operations.backtest import run_backtest

    settings = open_program("backtest", config, assignments)
    if rules is not None and policy is not None:
        raise MisconfiguredError("--rules, --policy", "give one of them")
    if data is not None and archive is not None:
        raise MisconfiguredError("--data, --archive", "give one of them")
    if write is not None and reviews_per_day is None:
        raise MisconfiguredError("--write", "writes what --reviews-per-day chooses; give it, inf for costs alone")
    if write is not None and (write / ROOT).exists():
        raise MisconfiguredError("--write", f"{write} holds a policy already; name another folder")
    sheet = read_model(costs, CostSheet) if costs is not None else CostSheet()
    since = _time(as_of) if as_of is not None else None
    fields = fields_of(catalogue_of(settings).features)
    files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
    live = open_policy(files, settings.money.base_currency, fields).current
    bundle = live.bundle
    if policy is not None:
        bundle = replace(read_bundle(policy_files(str(policy), settings.aws)), lists=bundle.lists)
    if rules is not None:
        bundle = amend(bundle, read_text(rules))
    candidate = compile_policy(bundle, fields, settings.money.base_currency)
    matures = _MATURITY_DAYS
    with contextlib.ExitStack() as stack:
        if data is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-")))
            matures = _decide_recording(data, mapping, label_delay_days, on_bad_row, folder, live, candidate, settings)
            archive = str(folder)
        elif days is None:
            days = _DAYS
        report = run_backtest(
            open_decision_archive(archive, settings.archive, settings.aws, catalogue_of(settings)),
            live,
            candidate,
            days=days,
            maturity_days=matures if maturity_days is None else maturity_days,
            costs=sheet,
            as_of=since,
            reviews_per_day=reviews_per_day,
            progress=lambda read, total: _progress(read, f"of {total:,} decisions read"),
        )
    _progress(None)
    _print(report)
    write_json(json, report)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_page(report), encoding="utf-8")
        print(f"report: {html}")
    if write is not None:
        chosen = _chosen(report, bundle)
        version = compile_policy(chosen, fields, settings.money.base_currency).version
        for name, text in chosen.files.items():
            (write / name).parent.mkdir(parents=True, exist_ok=True)
            (write / name).write_text(text, encoding="utf-8")
        print(f"policy {version}: {write / ROOT}; it takes effect where `policy.path` points")


def _chosen(report: Mapping[str, Any], candidate: PolicyBundle) -> PolicyBundle:
    """The candidate with what the budget chose.

    Raises:
        MisconfiguredError: nothing could be chosen.
    """
    from fraud.decision.policy.edit import with_choice

    budget = report.get("budget")
    if budget is None:
        raise MisconfiguredError("--write", "no mature decision has a score to choose by; nothing is written")
    return with_choice(candidate, {rule["rule"]: rule["live"] for rule in budget["rules"]}, budget["thresholds"])


def _decide_recording(
    data: Path,
    mapping: str | None,
    label_delay_days: float | None,
    on_bad_row: OnBadRow,
    folder: Path,
    live: CompiledPolicy,
    candidate: CompiledPolicy,
    settings: Settings,
) -> float:
    """Writes the archive of a recording to a folder; gives the days after which its labels are known."""
    from adapters.recordings.mapping import load_mapping
    from fraud.backtest.machine import columns_read
    from ml_model.predict import InProcessScorer
    from operations.recorded_history import archive_recording
    from producer.source import open_recorded

    if mapping is None:
        raise MisconfiguredError("--mapping", "--data needs one: a name in config/mappings or a YAML file")
    label = load_mapping(mapping).label
    scorer = InProcessScorer.configured(settings.model)
    stream = open_recorded(data, mapping, settings.money.base_currency, label_delay_days, on_bad_row=on_bad_row)
    decided = archive_recording(
        ((part.transactions, part.labels) for part in stream),
        folder,
        live,
        scorer,
        settings,
        columns_read(live, candidate),
        lambda count: _progress(count, "transactions decided"),
    )
    _progress(None)
    by = f"policy {live.version} and model {scorer.model_version}"
    print(f"{decided.decisions:,} transactions of {data} decided by {by}")
    if decided.repeated:
        print(f"note: {decided.repeated:,} repeat an id of their card within 24 hours and are left out")
    if label is None:
        print(
            "note: the mapping names no label, so no fraud is known: of use are alerts and rules, not what they caught"
        )
        return 0.0
    return label.delay_days if label_delay_days is None else label_delay_days


def _progress(count: int | None, what: str = "") -> None:
    """Progress for people; None ends it."""
    if sys.stderr.isatty():
        sys.stderr.write("\n" if count is None else f"\r{count:,} {what}")
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
    ran, states = report["shadow"], {rule["state"] for rule in report["rules"]}
    if "challenger" in ran or "shadow" in states or ran["shadow live"] != ran["recorded"]:
        shadow = Table(Column("without effect", no_wrap=True), *(title for _, title, _ in _SHADOW), box=None)
        for name, figures in ran.items():
            shadow.add_row(name, *(show(figures[key], form) for key, _, form in _SHADOW))
        console.print(shadow)
    if budget := report.get("budget"):
        _print_budget(console, budget, show)


def _print_budget(console: Console, budget: Mapping[str, Any], show: Callable[[float | None, str], str]) -> None:
    from rich.table import Column, Table

    if not budget["within_budget"]:
        console.print("lists and rules that the law asks for open more cases than that alone")
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
    rules = Table(Column("rule", no_wrap=True), "for", "chosen", "cases", "true", "only it", "true", "earns", box=None)
    for rule in budget["rules"]:
        counts = (str(rule[key]) for key in ("cases", "true_cases", "only_cases", "only_true_cases"))
        state = "live" if rule["live"] else "shadow"
        rules.add_row(rule["rule"], rule["purpose"], state, *counts, show(rule["earns_minor"], "money"))
    console.print(rules)
    curve = Table("budget, reviews a day", "used", "saved a day", box=None)
    for point in budget["curve"]:
        used = (show(point[key], "count") for key in ("reviews_per_day_budget", "reviews_per_day"))
        curve.add_row(*used, show(point["saved_minor_per_day"], "money"))
    console.print(curve)
