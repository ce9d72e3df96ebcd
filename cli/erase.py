"""`fraud erase`: a cardholder's data out of alerts and archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(
    card_token: Annotated[str, typer.Argument(help="The card, as records name it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, and change nothing.")] = False,
    grace_minutes: Annotated[
        int, typer.Option(min=0, help="Minutes after its end in which an hour may still be written to.")
    ] = 60,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Erase a card: its alerts, decisions, labels and dead letters, from the archive's objects and Delta tables, also
    from these tables' logs, from the lists of stored policies, from living lists with their history, and from the
    events that the decision service keeps in its folder here.

    Safe to repeat and to kill. Exit code 1 if objects of hours not yet closed were left alone: run it again
    later. Streams, keyed state and old versions of objects expire by themselves: docs/threat-model.md.

    \b
    Examples:
      fraud erase tok_4f1c --dry-run
      fraud erase tok_4f1c --json erased.json
    """
    import datetime as dt
    from dataclasses import asdict

    from adapters.alerts.table import AlertTable
    from adapters.archive.archive import open_archive
    from adapters.policy.source import policy_files
    from decision_service.afd.store import Store
    from operations.erasure import Erasure
    from operations.lake import Lake

    settings = open_program("erase", config, assignments)
    alerts, archive = AlertTable(settings.alerts, settings.aws), open_archive(settings.archive, settings.aws)
    alerts.require()
    grace = dt.timedelta(minutes=grace_minutes)
    lake = Lake(settings.archive, settings.aws, dt.datetime.now(dt.UTC), grace)
    lists = policy_files(settings.policy.path, settings.aws, settings.lists.path).lists
    file = Path(settings.decide.folder) / "events.db"
    events = {"events": Store(file, settings.frauddetector.keep_days * 86_400_000).erase} if file.exists() else {}
    erasure = Erasure(alerts, archive, lake, typer.echo, lists, **events)
    found = erasure.erase(card_token, dry_run=dry_run)
    done = "found" if dry_run else "erased"
    counts = (
        {"alerts": found.alerts}
        | found.rows
        | {"stored policies": found.policies, "objects of living lists": found.lists, "kept events": found.events}
    )
    typer.echo(f"{done}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if found.open_objects:
        typer.echo(f"left alone: {found.open_objects:,} objects of hours that are not closed; run it again after them")
    write_json(json, asdict(found) | {"dry_run": dry_run})
    if found.open_objects:
        raise typer.Exit(1)
