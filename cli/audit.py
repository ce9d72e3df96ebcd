"""`fraud audit`: checks and shows the console's audit log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.program.tables import print_table

if TYPE_CHECKING:
    from adapters.audit.chain import AuditChain

app = typer.Typer(help="Check and show the console's audit log, whose lines are chained by hash.", no_args_is_help=True)

BROKEN = 1
"""Exit code where the chain is not whole."""


@app.command()
def verify(
    known: Annotated[
        str | None,
        typer.Option("--head", metavar="NUMBER:HASH", help="A head noted earlier, which the log must still contain."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Look at every line of the audit log, and name the first one that was changed, removed or moved.

    Exit code 0 where the chain is whole, 1 where it is not. Lines cut off at the end leave a whole chain: keep the head
    that this command prints, or an `audit_head` line of the console's log, elsewhere, and give it to `--head`.

    \b
    Examples:
      fraud audit verify
      fraud audit verify --set console.store=s3://fraud-archive/console --head "$(cat audit-head.txt)"
    """
    from fraud.audit import Head
    from fraud.errors import MisconfiguredError

    chain = _chain(config, assignments)
    try:
        noted = None if known is None else Head.parse(known)
    except ValueError as error:
        raise MisconfiguredError("--head", str(error)) from None
    head, fault = chain.check(noted)
    write_json(json, {"lines": head.number, "head": str(head), "fault": None if fault is None else fault._asdict()})
    if fault is not None:
        typer.echo(f"broken at {fault}; {head.number:,} lines before it are whole")
        raise typer.Exit(BROKEN)
    typer.echo(f"{head.number:,} lines, unbroken; head {head}")


@app.command()
def show(
    by: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    act: Annotated[str | None, typer.Option(help="Only this act, such as escalate.")] = None,
    text: Annotated[str | None, typer.Option(help="Only lines whose object contains this.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Most lines to show.")] = 100,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Show lines of the audit log, newest first.

    Example: fraud audit show --by ann --act confirm_fraud --most 20
    """
    from itertools import islice

    from console.services.audit import Search
    from fraud.records.schema import time_of

    search = Search(by, act, text)
    found = list(islice(filter(search.finds, _chain(config, assignments).newest()), most))
    rows = [{"number": line.number, **line.entry._asdict(), "hash": line.hash} for line in found]
    write_json(json, {"lines": rows})
    print_table(
        ["line", "when", "user", "act", "done to"],
        [[line.number, time_of(line.entry.at_ms).isoformat(timespec="seconds"), *line.entry[1:]] for line in found],
    )


def _chain(config: Path | None, assignments: list[str] | None) -> AuditChain:
    from adapters.audit.chain import AuditChain
    from adapters.objects.opening import open_objects

    settings = open_program("audit", config, assignments)
    return AuditChain(open_objects(settings.console.store, settings.aws))
