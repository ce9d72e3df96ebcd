"""`fraud chaos`: proof by killing that nothing is lost, duplicated or different."""

from __future__ import annotations

import datetime as dt
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from embedded.chaos.run import ChaosReport

_FOLDER = Path(".local/chaos")

_FIRST_DAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
"""Of event times: with the seed it decides what is streamed, so that a run can be repeated on any day."""

_SEVERAL_TASKS = "job.partitions=2", "job.key_groups=4"
"""So that a kill finds some tasks of a batch committed and others not."""


class System(enum.StrEnum):
    """What is killed."""

    JOB = "job"
    DECIDE = "decide"


def command(
    system: Annotated[
        System, typer.Option(help="What to kill: the streaming job or the decision service.")
    ] = System.JOB,
    kills: Annotated[int, typer.Option(min=1, help="How often to kill.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of targets, instants and faults.")] = 7,
    start_date: Annotated[
        dt.datetime,
        typer.Option(
            metavar="YYYY-MM-DD",
            formats=["%Y-%m-%d"],
            show_default=f"{_FIRST_DAY:%Y-%m-%d}",
            help="First day of generated event times.",
        ),
    ] = _FIRST_DAY,
    hostile: Annotated[
        bool, typer.Option("--hostile", help="Mix in hostile records, labels and edits of the policy.")
    ] = False,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as an HTML page.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Kill a running job repeatedly, then compare what it stored with what one uninterrupted process computes.

    SIGKILL hits the whole job, a Python worker, the job inside a commit, the model endpoint and the object store, while
    some calls of S3 and DynamoDB are throttled, fail or stay unanswered. Each start and each kill of the job takes
    about half a minute. Exit code 1 if anything is lost, duplicated or different.

    With --hostile, records and labels that no one should send, and policies that do not compile, go in between;
    each must become what it is said to in embedded/chaos/hostile.py, and change nothing else.

    With --system decide, the decision service is killed at random instants and as it writes its journal, while callers
    ask and Kinesis is away, answers nothing or takes a part; every answer must be in the archive once, as it was given.

    \b
    Examples:
      fraud chaos --kills 5 --json chaos.json
      fraud chaos --system decide --kills 3 --json decide.json
      fraud chaos --kills 10 --hostile --json chaos.json
      fraud chaos --kills 30 --seed 7 --page chaos.html
    """
    settings = open_program("chaos", config, [*_SEVERAL_TASKS, *(assignments or [])])
    if system is System.DECIDE:
        if hostile:
            raise MisconfiguredError("--hostile", "goes with --system job")
        from embedded.chaos.decide_run import run_decide_chaos

        report = run_decide_chaos(settings, _FOLDER, kills, seed, start_date, typer.echo)
    else:
        from embedded.chaos.run import run_chaos

        report = run_chaos(settings, _FOLDER, kills, seed, start_date, typer.echo, hostile)
    figures = report.figures()
    _print_table(report)
    write_json(json, figures)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_render(report))
    if figures["lost"] or figures["duplicated"] or figures["different"]:
        raise typer.Exit(1)


def _print_table(report: ChaosReport) -> None:
    typer.echo(f"{'store':14}{'expected':>10}{'lost':>8}{'duplicated':>12}{'different':>11}")
    for name, found in report.stores.items():
        typer.echo(f"{name:14}{found.expected:>10,}{found.lost:>8}{found.duplicated:>12}{found.different:>11}")
        for example in found.examples:
            typer.echo(f"  {example}")


def _render(report: ChaosReport) -> str:
    import jinja2

    import embedded.chaos
    from embedded.chaos.killer import TARGETS

    template = (Path(embedded.chaos.__file__).parent / "page.html").read_text()
    figures = report.figures()
    sound = not (figures["lost"] or figures["duplicated"] or figures["different"])
    environment = jinja2.Environment(autoescape=True)
    return environment.from_string(template).render(
        figures=figures, sound=sound, timeline=report.timeline, targets=TARGETS
    )
