"""`fraud demo`: the whole system on this machine, live in the terminal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

_FOLDER = Path(".local/demo")
CARDS = 500
MERCHANTS = 300
HISTORY = 25_000
"""Transactions with which a generated run begins: about a month of its cards, so that they have habits."""

_HISTORY_DAYS = 60
"""How long ago it begins. Its days pass faster than the clock's: at 200 a second one lasts about five seconds."""

_REPLAY_BEGIN = 500


def command(
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds to stream; without it until Ctrl-C, or a replay's end.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Generated transactions a second.")] = 200,
    replay: Annotated[Path | None, typer.Option(help="Stream this recorded Parquet or CSV file instead.")] = None,
    mapping: Annotated[
        str | None, typer.Option(help="How its columns map: a name in config/mappings or a YAML file.")
    ] = None,
    num_transactions: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many transactions (default of a replay: all).")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Replay at so many times event time; without it as fast as possible.")
    ] = None,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Score inside the job instead of through a local model endpoint.")
    ] = False,
    with_console: Annotated[
        bool, typer.Option("--console/--no-console", help="Serve the console of the run, and print how to sign in.")
    ] = True,
    console_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Its port; without it 8090, or a free one where that is taken."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the AWS stand-in; without it a free one.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Start the local stack and the console, stream transactions and show decisions as they come.

    The console's password is made for this run and printed once.

    As in production, the model scores behind an endpoint: here on this machine.

    Ctrl-C or --duration ends it with a summary and leaves no process behind. Exit code 1 if a transaction was lost
    or decided twice.

    \b
    Examples:
      fraud demo --duration 60
      fraud demo --replay transactions.parquet --mapping handbook --num-transactions 100000 --json figures.json
    """
    from rich.console import Console

    from embedded.demo_console import DemoConsole, free_console_port, with_lab
    from embedded.model_endpoint import through_endpoint
    from embedded.run import Run
    from embedded.stack import LocalStack
    from embedded.view import LiveView, PlainView, render_summary

    if replay is not None and not replay.exists():
        raise MisconfiguredError("--replay", f"{replay}: no such file")
    source, pace, begin = _producer_arguments(rate, replay, mapping, num_transactions, speed)
    settings = open_program("demo", config, assignments)
    if not in_process:
        settings = through_endpoint(settings)
    console_port = free_console_port(console_port) if with_console else None
    if replay is None:
        settings = with_lab(settings, CARDS, MERCHANTS)
    terminal = Console()
    view = LiveView(terminal) if terminal.is_terminal else PlainView(terminal)
    with LocalStack(settings, _FOLDER, port) as stack, DemoConsole(stack, console_port, terminal) as console, view:
        run = Run(stack, view.show)
        try:
            run.start(source, begin)
            console.open()
            run.stream(source, pace, duration)
            console.stop()
            run.settle()
        except KeyboardInterrupt:
            terminal.print("interrupted")
        run.stop()
    figures: dict[str, Any] = run.tally.figures()
    terminal.print(render_summary(figures))
    write_json(json, figures)
    if figures["lost"] or figures["duplicated"]:
        raise typer.Exit(1)


def _producer_arguments(
    rate: float, replay: Path | None, mapping: str | None, num_transactions: int | None, speed: float | None
) -> tuple[list[str], list[str], int]:
    """What to produce, at which pace, and with how many transactions to begin."""
    if replay is not None:
        source = ["--replay", str(replay)] + ([] if mapping is None else ["--mapping", mapping])
        begin = min(_REPLAY_BEGIN, num_transactions or _REPLAY_BEGIN)
        rest = 0 if num_transactions is None else num_transactions - begin
        if num_transactions is not None and rest == 0:
            return source, ["--num-transactions", "1"], begin - 1
        pace = ["--num-transactions", str(rest)]
        return source, pace if speed is None else [*pace, "--speed", str(speed)], begin
    return generated(), ["--num-transactions", str(num_transactions or 0), "--rate", str(rate)], HISTORY


def generated() -> list[str]:
    """What a demo without a recording produces: arguments of `python -m producer.main`."""
    started = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=_HISTORY_DAYS)
    return ["--cards", str(CARDS), "--merchants", str(MERCHANTS), "--start-date", started.isoformat()]
