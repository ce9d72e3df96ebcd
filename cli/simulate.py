"""`fraud simulate`: the whole path in one process on a virtual clock, schedule by schedule."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import JsonOption, write_json

if TYPE_CHECKING:
    from embedded.simulation.run import Outcome, SimulationReport

_SHOWN = 5


def command(
    seeds: Annotated[int, typer.Option(min=1, help="How many schedules, each from a seed of its own.")] = 100,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    crashes: Annotated[
        int | None, typer.Option(min=1, help="Instead of --seeds: go on until there were so many crashes.")
    ] = None,
    progress: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --crashes: keep the figures here, and go on from those that are here."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Run one schedule and print its timeline.")] = False,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="With --trace: leave out what a failing schedule does not need.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --trace: write the timeline as an HTML page, too.")
    ] = None,
    records: Annotated[int, typer.Option(min=1, help="Transactions of a schedule.")] = 200,
    processes: Annotated[
        int | None, typer.Option(min=1, show_default="one for each core", help="Schedules at the same time.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Simulate the job with its services, some crashes and many faults in each schedule, and check what it left.

    The job's own classes run on a virtual clock, in one process a schedule; Spark's contract and the services are
    simulated. A seed decides everything: records, faults, crashes and who runs next. Nothing is started and no address
    is used. Exit code 1 if anything is lost, duplicated or different, or a schedule does not end.

    \b
    Examples:
      fraud simulate --seeds 500 --json simulate.json
      fraud simulate --crashes 1000000 --progress build/simulate.json
      fraud simulate --seed 42 --trace
      fraud simulate --seed 42 --trace --shrink --page schedule.html
    """
    from embedded.simulation.run import run_on, run_seeds
    from fraud.errors import MisconfiguredError

    if trace:
        raise typer.Exit(_trace(seed, records, page, shortest=shrink))
    if (crashes is None) != (progress is None):
        raise MisconfiguredError("simulate", "--crashes and --progress go together")
    at_once = processes or os.cpu_count() or 1

    def say(outcome: Outcome) -> None:
        _say(outcome, records)

    if crashes is not None and progress is not None:
        report = run_on(crashes, records, at_once, progress, say)
    else:
        report = run_seeds(range(seed, seed + seeds), records, at_once, say)
    _print_summary(report)
    write_json(json, report.figures())
    if report.failed:
        raise typer.Exit(1)


def _say(outcome: Outcome, records: int) -> None:
    if not outcome.problems:
        return
    typer.echo(f"seed {outcome.seed}: {len(outcome.problems)} differences")
    for problem in outcome.problems[:_SHOWN]:
        typer.echo(f"  {problem}")
    size = "" if records == 200 else f" --records {records}"
    typer.echo(f"  fraud simulate --seed {outcome.seed}{size} --trace")


def _print_summary(report: SimulationReport) -> None:
    figures = report.figures()
    typer.echo(
        f"{figures['schedules']:,} schedules, {figures['crashes']:,} crashes, {figures['faults']:,} faults, "
        f"{figures['calls']:,} calls, {figures['differences']:,} differences, "
        f"{figures['schedules_per_minute']:,} schedules a minute"
    )


def _trace(seed: int, records: int, page: Path | None, *, shortest: bool) -> int:
    from embedded.simulation.plan import Plan
    from embedded.simulation.quiet import silence
    from embedded.simulation.schedule import run_schedule
    from embedded.simulation.shrink import fails, shrink
    from embedded.simulation.timeline import lines
    from embedded.simulation.timeline import page as drawn
    from embedded.simulation.verify import problems_of

    silence()
    plan = Plan(seed, records)
    schedule = run_schedule(plan, keep=True)
    problems = problems_of(schedule)
    if shortest and problems:
        plan = shrink(plan, fails)
        schedule = run_schedule(plan, keep=True)
        problems = problems_of(schedule)
    for line in lines(schedule.world.timeline):
        typer.echo(line)
    typer.echo(f"digest {schedule.world.digest}, {len(plan.happened)} events, {len(problems)} differences")
    for problem in problems:
        typer.echo(f"  {problem}")
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(drawn(schedule, problems))
    return 1 if problems else 0
