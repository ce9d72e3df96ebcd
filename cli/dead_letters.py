"""`fraud dead-letters`: refused records: list, show, replay."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from operations.dead_letters import DeadLetter, DeadLetterStore

app = typer.Typer(help="Refused records: list, show, replay.", no_args_is_help=True, rich_markup_mode=None)

ReasonOption = Annotated[str | None, typer.Option(help="Only those with this reason code.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Only those that arrived on this UTC day or later."),
]
_LIMIT = 50


@app.command("list")
def list_letters(
    reason: ReasonOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum rows to print.")] = _LIMIT,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """List dead letters, and count them by reason.

    \b
    Examples:
      fraud dead-letters list --since 2026-11-01
      fraud dead-letters list --reason invalid --limit 10 --json letters.json
    """
    from collections import Counter

    dead_letters = list(_open(config, assignments).find(reason, _day(since)))
    for dead_letter in dead_letters[:limit]:
        typer.echo(_line(dead_letter))
    if len(dead_letters) > limit:
        typer.echo(f"... and {len(dead_letters) - limit:,} more (--limit)")
    counts = Counter(dead_letter.reason for dead_letter in dead_letters)
    replayed = sum(dead_letter.replayed for dead_letter in dead_letters)
    by_reason = "".join(f", {name} {count:,}" for name, count in sorted(counts.items()))
    typer.echo(f"{len(dead_letters):,} dead letters{by_reason}; {replayed:,} of them replayed")
    write_json(json, {"dead_letters": len(dead_letters), "by_reason": dict(counts), "replayed": replayed})


@app.command()
def show(
    dead_letter_id: Annotated[str, typer.Argument(help="Id as `list` shows it.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Show one dead letter with its bytes (card numbers are redacted).

    Example: fraud dead-letters show fraud-transactions/shardId-000000000000/4958/0
    """
    from fraud.records.card_number import redact

    dead_letter = _open(config, assignments).get(dead_letter_id)
    typer.echo(_line(dead_letter))
    typer.echo(
        f"arrived: {datetime.fromtimestamp(dead_letter.arrival_ms / 1000, UTC).isoformat(timespec='milliseconds')}"
    )
    typer.echo(f"replayable: {'yes' if dead_letter.replayable else 'no, a card number was redacted'}")
    typer.echo(redact(dead_letter.data).decode(errors="backslashreplace"))


@app.command()
def replay(
    dead_letter_ids: Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them.")] = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Put dead letters on their streams again, those named or all of a reason, and mark them as replayed.

    They take the normal path: what is still wrong becomes a new dead letter. Safe to repeat: what was replayed is left
    alone.

    Example: fraud dead-letters replay --reason unsupported_version
    """
    from fraud.errors import MisconfiguredError
    from operations.dead_letters import AT_ONCE

    if not dead_letter_ids and reason is None:
        raise MisconfiguredError("dead-letters replay", "name ids, or give --reason")
    store = _open(config, assignments)
    chosen = [store.get(each) for each in dead_letter_ids] if dead_letter_ids else list(store.find(reason, _day(since)))
    done = 0
    for done in store.replay(chosen):
        if done % AT_ONCE == 0:
            typer.echo(f"{done:,} replayed ...")
    typer.echo(f"{done:,} replayed, {len(chosen) - done:,} left alone (replayed before, or redacted)")
    write_json(json, {"replayed": done, "left_alone": len(chosen) - done})


def _open(config: Path | None, assignments: list[str] | None) -> DeadLetterStore:
    from adapters.archive.archive import open_archive
    from operations.dead_letters import DeadLetterStore

    settings = open_program("dead-letters", config, assignments)
    archive = open_archive(settings.archive, settings.aws)
    archive.require()
    return DeadLetterStore(archive, settings.aws)


def _day(since: datetime | None) -> date | None:
    return None if since is None else since.date()


def _line(dead_letter: DeadLetter) -> str:
    where = f" {dead_letter.field}:" if dead_letter.field else ""
    mark = " (replayed)" if dead_letter.replayed else ""
    return f"{dead_letter.id}  {dead_letter.reason}{mark}{where} {dead_letter.detail or ''}"
