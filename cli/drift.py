"""`fraud drift`: how far live transactions moved from those that the model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from ml_model.drift import DriftReport

_LISTED = 10


def command(
    archive: Annotated[
        str | None, typer.Option(help="Folder or s3:// address with decisions/; default: the settings'.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="drift.days: live window up to the latest decision.")] = None,
    reference_days: Annotated[
        int | None, typer.Option(min=1, help="drift.reference_days: compare with the days before the live window.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the artifact; default: the settings'.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Compare features, score and alert rate of the latest days with the model's training window.

    Exit code 0: nothing shifted; 1: something has, or the figures could not be pushed; 2: it cannot be measured. With
    drift.pushgateway set, the figures go to Prometheus.

    \b
    Examples:
      fraud drift --json drift.json
      fraud drift --archive s3://fraud-archive --days 3 --reference-days 30
    """
    overrides = {"drift.days": days, "drift.reference_days": reference_days}
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = open_program("drift", config, assignments, given)

    from adapters.archive.decision_archive import open_decision_archive
    from fraud.features import catalogue_of
    from ml_model.archived_drift import measure_archived_drift
    from ml_model.predict import InProcessScorer

    scorer = InProcessScorer.configured(settings.model) if model is None else InProcessScorer.load(model)
    report, windows = measure_archived_drift(
        open_decision_archive(archive, settings.archive, settings.aws, catalogue_of(settings)),
        scorer,
        settings.drift,
    )
    _print(report, windows)
    write_json(json, _figures(report, windows, scorer.description.version))
    if settings.drift.pushgateway is not None:
        _push(report, settings.drift.pushgateway)
    if report.shifted:
        raise typer.Exit(1)


def _figures(report: DriftReport, windows: dict[str, Any], version: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {"model": version, **windows, **asdict(report), "shifted": report.shifted}


def _print(report: DriftReport, windows: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    for name, each in windows.items():
        console.print(f"{name:10}{each['from']:%Y-%m-%d} to {each['until']:%Y-%m-%d}, {each['transactions']:,} taken")
    rate = report.alert_rate
    console.print(f"alerts    {rate.reference:.3%} before, {rate.live:.3%} live: {rate.level.value}")
    table = Table(
        Column("moved most", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in ("index", "usual", "median")),
        Column(""),
        box=None,
    )
    for shift in report.shifts[:_LISTED]:
        medians = ("-" if value is None else f"{value:.3g}" for value in (shift.reference_median, shift.live_median))
        before, now = shift.reference_undefined, shift.live_undefined
        undefined = f", undefined {before:.0%} → {now:.0%}" if f"{before:.0%}" != f"{now:.0%}" else ""
        table.add_row(
            shift.name, f"{shift.index:.3f}", f"{shift.usual:.3f}", " → ".join(medians), shift.level.value + undefined
        )
    console.print(table)
    if len(report.shifts) > _LISTED:
        console.print(f"and {len(report.shifts) - _LISTED} that moved less")
    console.print(f"shifted: {', '.join(report.shifted) or 'nothing'}")


def _push(report: DriftReport, address: str) -> None:
    from adapters.program.metrics import ALERT_RATE, DRIFT_INDEX, DRIFT_USUAL
    from adapters.program.pushgateway import push_gauges

    gauges = {
        DRIFT_INDEX: {shift.name: shift.index for shift in report.shifts},
        DRIFT_USUAL: {shift.name: shift.usual for shift in report.shifts},
        ALERT_RATE: {"reference": report.alert_rate.reference, "live": report.alert_rate.live},
    }
    push_gauges(address, "fraud-drift", gauges)
