"""`fraud maintain`: closed hours of the archive into Delta tables."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(
    grace_minutes: Annotated[
        int, typer.Option(min=0, help="Minutes after its end in which an hour may still be written to.")
    ] = 60,
    everything: Annotated[
        bool, typer.Option("--all", help="Look at all dates again, also those that were found sound.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Fold closed hours into Delta tables, compact and expire them, and verify their counts.

    Tables are compared with the objects they are made of, and both with the number of records that the job has read
    according to its offsets. Safe to repeat, to run twice at the same time and to kill: an object is folded in once.
    Dates older than `archive.settled_days` that were found sound are not looked at again. Exit code 1 if a row is
    missing or duplicated.

    \b
    Examples:
      fraud maintain --json maintain.json
      fraud maintain --all
    """
    import datetime as dt
    from dataclasses import asdict

    from adapters.archive.layout import ArchiveKind
    from operations.lake import Lake

    settings = open_program("maintain", config, assignments)
    now, grace = dt.datetime.now(dt.UTC), dt.timedelta(minutes=grace_minutes)
    lake = Lake(settings.archive, settings.aws, now, grace, everything=everything)
    found = [lake.maintain(kind) for kind in ArchiveKind]
    typer.echo(
        f"{'table':14}{'folded':>10}{'objects':>9}{'archived':>10}{'missing':>9}{'duplicated':>12}{'expired':>9}"
    )
    for each in found:
        typer.echo(
            f"{each.kind.value:14}{each.rows:>10,}{each.objects:>9,}{each.archived:>10,}{each.missing:>9,}"
            f"{each.duplicated:>12,}{each.expired:>9,}"
        )
    counted = lake.verify_offsets()
    for query in counted:
        typer.echo(
            f"query {query.query}, batches {query.first} to {query.last}: {query.read:,} records read by its offsets, "
            f"{query.stored:,} stored, {query.missing:,} missing, {query.surplus:,} too many"
        )
    figures = {each.kind.value: asdict(each) | {"sound": each.sound} for each in found}
    write_json(json, figures | {"offsets": [asdict(query) for query in counted]})
    if not all(each.sound for each in found) or any(query.missing or query.surplus for query in counted):
        raise typer.Exit(1)
