"""`fraud erase`: a cardholder's data out of alerts and archive."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(
    card_token: Annotated[str, typer.Argument(help="The card, as records name it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, and change nothing.")] = False,
    grace_minutes: Annotated[
        int, typer.Option(min=0, help="How long after its end an hour may still be written to.")
    ] = 60,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Erase a card: its alerts, decisions, labels and dead letters, from the archive's objects and Delta tables.

    Safe to repeat and to kill. Exit code 1 while objects of hours that are not closed were left alone: run it again
    after them. Streams, keyed state and old versions of objects end by themselves: docs/threat-model.md.

    \b
    Examples:
      fraud erase tok_4f1c --dry-run
      fraud erase tok_4f1c --json erased.json
    """
    import datetime as dt
    from dataclasses import asdict

    from adapters.erasure import Erasure

    settings = open_program("erase", config, assignments)
    erasure = Erasure(settings, dt.datetime.now(dt.UTC), dt.timedelta(minutes=grace_minutes), typer.echo)
    found = erasure.erase(card_token, dry_run=dry_run)
    done = "found" if dry_run else "erased"
    typer.echo(f"{done}: {found.alerts:,} alerts" + "".join(f", {rows:,} {kind}" for kind, rows in found.rows.items()))
    if found.open_objects:
        typer.echo(f"left alone: {found.open_objects:,} objects of hours that are not closed; run it again after them")
    write_json(json, asdict(found) | {"dry_run": dry_run})
    if found.open_objects:
        raise typer.Exit(1)
