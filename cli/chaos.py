"""`fraud chaos`: proof by killing that nothing is lost, doubled or different."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from embedded.chaos.run import ChaosReport

_FOLDER = Path(".local/chaos")

_SEVERAL_TASKS = "job.partitions=2", "job.key_groups=4"
"""So that a kill finds some tasks of a batch committed and others not."""


def command(
    kills: Annotated[int, typer.Option(min=1, help="How often to kill.")] = 5,
    seed: Annotated[int, typer.Option(help="Of targets, instants and faults.")] = 7,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as an HTML page.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Kill a running job again and again, then compare what it stored with what one process computes.

    SIGKILL hits the whole job, a Python worker, the job inside a commit, the model endpoint, and the store of objects,
    while calls of S3 and DynamoDB are throttled, fail or stay unanswered now and then. Takes about half a minute for a
    start and for each kill of the job. Exit code 1 if anything is lost, doubled or different.

    \b
    Examples:
      fraud chaos --kills 5 --json chaos.json
      fraud chaos --kills 30 --seed 7 --page chaos.html
    """
    from embedded.chaos.run import run_chaos

    settings = open_program("chaos", config, [*_SEVERAL_TASKS, *(assignments or [])])
    report = run_chaos(settings, _FOLDER, kills, seed, typer.echo)
    figures = report.figures()
    _print_table(report)
    write_json(json, figures)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_render(report))
    if figures["lost"] or figures["duplicated"] or figures["different"]:
        raise typer.Exit(1)


def _print_table(report: ChaosReport) -> None:
    typer.echo(f"{'store':14}{'expected':>10}{'lost':>8}{'doubled':>9}{'different':>11}")
    for name, found in report.stores.items():
        typer.echo(f"{name:14}{found.expected:>10,}{found.lost:>8}{found.duplicated:>9}{found.different:>11}")
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
