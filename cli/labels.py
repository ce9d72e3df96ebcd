"""`fraud labels`: puts what became known of payments on the stream of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json

app = typer.Typer(help="Load confirmed fraud from files, as schemes report it, onto the stream of labels.")

_SHOWN = 5
_AT_ONCE = 500


@app.callback()
def labels() -> None:
    """Load confirmed fraud from files, as schemes report it, onto the stream of labels."""


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="CSV with a line for each payment that was fraud.")],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME=THEIRS", help="What the file calls a column; repeatable."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Load a file of confirmed fraud (as TC40 or SAFE report it, cards as tokens): a label for each line, and entries
    on the lists that the policy's `confirmed_fraud` names. Loading it again changes nothing. Lines that cannot be read
    are named and left out; exit code 1 where there are any.

    \b
    Columns: transaction_id, card_token, merchant_id, transaction_time, amount, reported_at; where known also
    terminal_id, device_id, verdict (fraud, legitimate, withdrawn).

    \b
    Examples:
      fraud labels load tc40-2026-05.csv
      fraud labels load safe.csv --column transaction_id=ARN --column reported_at=REPORT_DATE
    """
    import msgspec

    from adapters.aws.stream_writer import KinesisWriter, StreamRecord
    from adapters.files.text_files import read_text
    from cli.lists import open_desk
    from fraud.errors import MisconfiguredError
    from operations.confirmed import ConfirmedFraud
    from operations.confirmed_file import read_confirmed

    settings = open_program("labels", config, assignments)
    names = dict(part.partition("=")[::2] for part in column or ())
    if bare := next((name for name, theirs in names.items() if not theirs), None):
        raise MisconfiguredError(f"--column {bare}", "write it as NAME=THEIRS")
    desk = open_desk(settings)
    confirmed = ConfirmedFraud(desk, desk.policy)
    lines = list(read_confirmed(read_text(file), str(file), names, settings.money.base_currency))
    writer = KinesisWriter(settings.streams.labels, settings.aws)
    read = [(each.label, each.device_id) for each in lines if each.label is not None]
    for start in range(0, len(read), _AT_ONCE):
        part = [StreamRecord(label.card_token, msgspec.json.encode(label)) for label, _ in read[start:][:_AT_ONCE]]
        writer.write(part)
    listed = removed = 0
    for label, device_id in read:
        done = confirmed.take(label, device_id)
        listed, removed = listed + len(done.put), removed + len(done.removed)
    refused = [each for each in lines if each.label is None]
    for each in refused[:_SHOWN]:
        typer.echo(f"{file}, line {each.line}: {each.problem}", err=True)
    typer.echo(
        f"{len(read):,} labels written, {listed:,} entries put on lists, {removed:,} taken off, "
        f"{len(refused):,} lines left out"
    )
    write_json(json, {"labels": len(read), "listed": listed, "removed": removed, "refused": len(refused)})
    if refused:
        raise typer.Exit(1)
