"""`fraud simulate`: the whole path in one process on a virtual clock, schedule by schedule."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import INTERRUPTED, JsonOption, write_json

if TYPE_CHECKING:
    from embedded.simulation.run import Goal, Outcome, SimulationReport

_SHOWN = 5
_SAY_EVERY_S = 10.0


def command(
    seeds: Annotated[int, typer.Option(min=1, help="How many schedules, each from a seed of its own.")] = 100,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    crashes: Annotated[
        int | None, typer.Option(min=1, help="Instead of --seeds: go on until there were so many crashes.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the figures here, and go on from those that are here."),
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
      fraud simulate --crashes 1000000 --resume build/simulate.json
      fraud simulate --seed 42 --trace
      fraud simulate --seed 42 --trace --shrink --page schedule.html
    """
    from embedded.simulation.run import Goal, run_schedules

    if trace:
        raise typer.Exit(_trace(seed, records, page, shortest=shrink))
    goal = Goal(seeds, crashes)
    progress = Progress(goal, time.monotonic)

    def done(outcome: Outcome, report: SimulationReport) -> None:
        _say(outcome, records)
        if (line := progress.line(report)) is not None:
            typer.echo(line, err=True)

    report = run_schedules(goal, records, processes or os.cpu_count() or 1, seed, resume, done)
    _print_summary(report)
    write_json(json, report.figures())
    if report.interrupted:
        way_on = "begin with --resume FILE to be able to go on" if resume is None else "the same command goes on"
        typer.echo(f"interrupted after seed {seed + report.schedules - 1}: {way_on}", err=True)
        raise typer.Exit(INTERRUPTED)
    if report.failed:
        raise typer.Exit(1)


class Progress:
    """How far a run is, every some seconds, also where nobody sits at a terminal.

    Args:
        goal: of the run.
        clock: seconds that never go back.
    """

    def __init__(self, goal: Goal, clock: Callable[[], float]) -> None:
        self._goal = goal
        self._clock = clock
        self._began = self._said_at = clock()
        self._before: tuple[float, int] | None = None

    def line(self, report: SimulationReport) -> str | None:
        """What to say after another schedule; None where it was said a moment ago."""
        now, reached = self._clock(), self._goal.reached(report)
        if self._before is None:  # what an earlier run has done took none of this one's time
            self._before = reached, report.schedules
        if now - self._said_at < _SAY_EVERY_S or reached >= 1:
            return None
        self._said_at = now
        before, schedules = self._before
        seconds = now - self._began
        left = "" if reached <= before else f", {_in_words(seconds * (1 - reached) / (reached - before))} left"
        return (
            f"{100 * reached:.1f} %: {report.schedules:,} schedules, {report.crashes:,} crashes, "
            f"{report.differences:,} differences, {60 * (report.schedules - schedules) / seconds:.0f} a minute{left}"
        )


def _in_words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _say(outcome: Outcome, records: int) -> None:
    if not outcome.problems:
        return
    typer.echo(f"seed {outcome.seed}: {len(outcome.problems)} differences")
    for problem in outcome.problems[:_SHOWN]:
        typer.echo(f"  {problem}")
    size = "" if records == 200 else f" --records {records}"
    typer.echo(f"  fraud simulate --seed {outcome.seed}{size} --trace --shrink")


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
