"""`fraud dead-letters`: refused records: list, show, replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from adapters.dead_letters import DeadLetter

app = typer.Typer(help="Refused records: list, show, replay.", no_args_is_help=True, rich_markup_mode=None)

ReasonOption = Annotated[str | None, typer.Option(help="Only those with this reason code.")]
_LIMIT = 50


@app.command("list")
def list_letters(
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows to print.")] = _LIMIT,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """List dead letters, and count them by reason.

    Example: fraud dead-letters list --reason invalid
    """
    from collections import Counter

    from adapters.dead_letters import DeadLetterStore

    letters = list(DeadLetterStore(open_program("dead-letters", config, assignments)).find(reason))
    for letter in letters[:limit]:
        typer.echo(_line(letter))
    if len(letters) > limit:
        typer.echo(f"... and {len(letters) - limit:,} more (--limit)")
    counts = Counter(letter.reason for letter in letters)
    typer.echo(f"{len(letters):,} dead letters" + "".join(f", {name} {count:,}" for name, count in counts.items()))
    write_json(json, {"dead_letters": len(letters), "by_reason": dict(counts)})


@app.command()
def show(letter_id: str, config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Show one dead letter with its bytes (card numbers are redacted).

    Example: fraud dead-letters show fraud-transactions/shardId-000000000000/4958/0
    """
    from adapters.dead_letters import DeadLetterStore

    letter = DeadLetterStore(open_program("dead-letters", config, assignments)).get(letter_id)
    typer.echo(_line(letter))
    typer.echo(f"replayable: {'yes' if letter.replayable else 'no, a card number was redacted'}")
    typer.echo(letter.data.decode(errors="backslashreplace"))


@app.command()
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(help="Ids as `list` shows them.")] = None,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Put dead letters on their streams again, those named or all of a reason, and mark them as replayed.

    They take the normal path: what is still wrong becomes a new dead letter.

    Example: fraud dead-letters replay --reason unsupported_version
    """
    from adapters.dead_letters import DeadLetterStore
    from fraud.errors import MisconfiguredError

    if not letter_ids and reason is None:
        raise MisconfiguredError("dead-letters replay", "name ids, or give --reason")
    store = DeadLetterStore(open_program("dead-letters", config, assignments))
    chosen = [store.get(letter_id) for letter_id in letter_ids] if letter_ids else list(store.find(reason))
    done = store.replay(chosen)
    typer.echo(f"{done:,} replayed, {len(chosen) - done:,} left alone (replayed before, or redacted)")
    write_json(json, {"replayed": done, "left_alone": len(chosen) - done})


def _line(letter: DeadLetter) -> str:
    where = f" {letter.field}:" if letter.field else ""
    mark = " (replayed)" if letter.replayed else ""
    return f"{letter.id}  {letter.reason}{mark}{where} {letter.detail or ''}"
