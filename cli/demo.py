"""`fraud demo`: the whole system on this machine, live in the terminal."""

from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.recordings.bad_rows import OnBadRow
from fraud.errors import FatalError, MisconfiguredError, ServiceError
from fraud.settings import EventReceiver, Settings

if TYPE_CHECKING:
    from embedded.answers import DemoService
    from embedded.demo_console import DemoConsole
    from embedded.history import History, Population
    from embedded.stack import LocalStack

_FOLDER = Path(".local/demo")
CARDS = 500
MERCHANTS = 300
SEED = 7
_BEGAN_DAYS_AGO = 150
"""When a generated run's history begins. Live days pass faster than the clock's: at 200 a second in five seconds."""

ASK_SHARE = 0.25
_BEGIN, _REPLAY_BEGIN = 1_000, 500
"""Transactions that are decided before the others are sent: enough for an alert among them, few enough to be soon done.
A recording's first ones raise more alerts, as its cards have no history."""

_AFTERWARDS = ("backtest", "parity --archive", "dead-letters list")


def command(
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds to stream; default: until Ctrl-C, or the end of a replay.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Generated transactions a second.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of generated population and fraud.")] = SEED,
    replay: Annotated[
        Path | None, typer.Option(help="Stream this recording instead: a file, a folder or a pattern.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="How its columns map: a name in config/mappings or a YAML file.")
    ] = None,
    on_bad_row: Annotated[
        OnBadRow,
        typer.Option(help="A row of the recording that cannot be read is refused at once, or counted and left out."),
    ] = OnBadRow.FAIL,
    num_transactions: Annotated[
        int | None, typer.Option(min=2, help="Stop after this many transactions (default of a replay: all).")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Replay at this multiple of event time; default: as fast as possible.")
    ] = None,
    start_date: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="YYYY-MM-DD",
            formats=["%Y-%m-%d"],
            help="First day of the generated history; default: 150 days ago.",
        ),
    ] = None,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Score inside the job instead of through a local model endpoint.")
    ] = False,
    ask_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the cards whose payments wait for an answer of `fraud decide`."),
    ] = ASK_SHARE,
    with_console: Annotated[
        bool, typer.Option("--console/--no-console", help="Serve the console of the run, and print how to sign in.")
    ] = True,
    console_port: Annotated[
        int | None,
        typer.Option(help="Port of the console; default: 8090, or a free one if that is taken."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the AWS emulator; default: a free one.")] = None,
    events: Annotated[
        Path | None, typer.Option(help="Append the run's events to this file, for other systems; default: none.")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Start the local stack and the console, stream transactions and show decisions as they come.

    A generated run begins with 90 days of history in the job's state and the archive, with the labels that came of
    them, so that cards are known from the first live payment on. The same seed, start date and duration give the same
    transactions. The console's password is made for this run and printed once. As in production, the model scores
    behind an endpoint: here on this machine. The payments of a quarter of the cards are not put on the stream but
    asked about, as an application would: the decision service answers and puts them there with its decision.

    Ctrl-C or --duration ends it with a summary and leaves no process behind. The summary counts records: refused are
    transactions that became dead letters, lost those neither decided nor refused. It then says what the alerts were
    worth: as cases, of which an analyst opens one for a card and a day, however many of its payments were alerted. The
    archive stays until the next demo, for other commands. Exit code 1 if a transaction was lost or decided twice, or
    if the job ended by itself.

    \b
    Examples:
      fraud demo --duration 60
      fraud demo --seed 11 --start-date 2026-01-05 --duration 90 --json figures.json
      fraud demo --replay transactions.parquet --mapping handbook --num-transactions 100000 --json figures.json
    """
    import psutil
    from rich.console import Console
    from rich.text import Text

    from embedded.answers import DemoService, with_answers
    from embedded.demo_console import DemoConsole, free_console_port, with_lab
    from embedded.emulator import require_free
    from embedded.history import History
    from embedded.model_endpoint import through_endpoint
    from embedded.run import PRODUCER, Run
    from embedded.stack import LocalStack
    from embedded.view import LiveView, PlainView, render_summary

    if replay is not None and start_date is not None:
        raise MisconfiguredError("--start-date", "is of generated transactions; a recording has its own times")
    settings = open_program("demo", config, assignments)
    currency = settings.money.base_currency
    if replay is not None:
        _check(replay, mapping, currency, on_bad_row)
    if not in_process:
        settings = through_endpoint(settings)
    if events is not None:
        settings = _with_events(settings, events)
    if port is not None:
        require_free(port, "--port")
    console_port = free_console_port(console_port) if with_console else None
    population = demo_population(seed, start_date)
    if replay is None:
        settings = with_lab(settings, population)
        source, plan = population.arguments, _generated(rate, duration, num_transactions)
    else:
        source = ["--replay", str(replay), "--mapping", str(mapping), "--on-bad-row", on_bad_row]
        plan = _replayed(speed, duration, num_transactions)
    terminal = Console()
    view = LiveView(terminal) if terminal.is_terminal else PlainView(terminal)
    # Folded while the emulator starts.
    history = None if replay is not None else ThreadPoolExecutor(1).submit(History, settings, population)
    with (
        LocalStack(settings, _FOLDER, port) as stack,
        DemoConsole(stack, console_port, terminal) as console,
        DemoService(stack, 0.0 if history is None else ask_share) as service,
        view,
    ):
        stack.settings = with_answers(stack.settings, stack.folder)
        stack.write_settings(stack.settings)
        policy = os.path.relpath(stack.policy_file)
        terminal.print(Text(f"policy: {policy}, a copy for this run with its rules and lists"), soft_wrap=True)
        if history is None:
            run, meanwhile = Run(stack, view.show), console.start
        else:
            known = history.result()
            known.backfill(stack.settings)
            terminal.print(Text(f"history: {known}"), soft_wrap=True)
            run = Run(stack, view.show, known.transactions, known.compromised)
            meanwhile = partial(_meanwhile, known, stack.settings, service, console)
        if settings.events.receivers:
            stack.start_events()
        failure: FatalError | None = None
        try:
            try:
                run.start(source, plan.begin, meanwhile)
                asked = service.await_ready(PRODUCER)
                console.open()
                run.stream(source, [*plan.pace, *asked], plan.duration_s, service.key)
                console.stop()
                run.settle()
                service.stop()
            except KeyboardInterrupt:
                terminal.print("interrupted")
            finally:
                run.stop()
        except FatalError as error:  # what was counted until then is printed all the same
            failure = error
        kept = _keep_archive(stack)
    began = psutil.Process().create_time()
    first_alert_s = None if run.first_alert_at is None else round(run.first_alert_at - began, 1)
    figures: dict[str, Any] = {"first_alert_s": first_alert_s, **run.tally.figures()}
    terminal.print(render_summary(figures, currency))
    terminal.print(Text(kept), soft_wrap=True)
    write_json(json, figures | {"failure": None if failure is None else str(failure)})
    if failure is not None:
        raise failure
    if figures["lost"] or figures["duplicated"]:
        raise typer.Exit(1)


def _with_events(settings: Settings, file: Path) -> Settings:
    """The settings with a file that gets events, beside the receivers that they name."""
    receiver = EventReceiver(kind="file", address=str(file.absolute()))
    events = settings.events.model_copy(update={"receivers": {**settings.events.receivers, "demo": receiver}})
    return settings.model_copy(update={"events": events})


def _meanwhile(history: History, settings: Settings, service: DemoService, console: DemoConsole) -> None:
    """Does what needs no job while Spark starts, which keeps one core busy; service and console read the archive."""
    history.keep(settings)
    service.start(history.query)
    console.start()


def _keep_archive(stack: LocalStack) -> str:
    """Keeps the archive of a run for later commands; says where it is and which they are."""
    try:
        folder = os.path.relpath(stack.keep_archive())
    except ServiceError as error:
        return f"\nthe archive is gone with the emulator: {error}"
    lines = [f"  fraud {name} --config {os.path.relpath(stack.settings_file)}" for name in _AFTERWARDS]
    return "\n".join([f"\narchive: {folder}, until the next demo; look into it with", *lines])


def _check(replay: Path, mapping: str | None, currency: str, on_bad_row: OnBadRow) -> None:
    """Reads the recording whole before anything is started, and says what it holds and what looks wrong."""
    from adapters.recordings.mapping import load_mapping
    from adapters.recordings.reading import RecordingReader, warn_of

    if mapping is None:
        raise MisconfiguredError(
            "--mapping", f"a replay needs one; write it by 'fraud inspect {replay} --write mapping.yaml'"
        )
    reader = RecordingReader(replay, load_mapping(mapping), currency, on_bad_row)
    found = reader.check()
    typer.echo(f"recording: {found.rows:,} transactions, {found.fraud:,} of them fraud")
    warn_of(reader, typer.echo)


class _Plan(NamedTuple):
    """How a run goes on.

    Attributes:
        begin: transactions of the first batch, as fast as they can be sent.
        pace: number and pace of the others: arguments of `python -m producer.main`.
        duration_s: when they are interrupted; None where they end by themselves.
    """

    begin: int
    pace: list[str]
    duration_s: float | None


def _generated(rate: float, duration: float | None, num_transactions: int | None) -> _Plan:
    """So many of generated transactions that the same arguments send the same ones, however fast the machine is."""
    limits = [] if num_transactions is None else [num_transactions]
    if duration is not None:
        limits.append(_BEGIN + round(rate * duration))
    if not limits:
        return _Plan(_BEGIN, ["--num-transactions", "0", "--rate", str(rate)], None)
    return _begun(_BEGIN, min(limits), ["--rate", str(rate)], None)


def _replayed(speed: float | None, duration: float | None, num_transactions: int | None) -> _Plan:
    pace = [] if speed is None else ["--speed", str(speed)]
    if num_transactions is None:
        return _Plan(_REPLAY_BEGIN, ["--num-transactions", "0", *pace], duration)
    return _begun(_REPLAY_BEGIN, num_transactions, pace, duration)


def _begun(begin: int, count: int, pace: list[str], duration: float | None) -> _Plan:
    """A plan for so many transactions; at least one of them follows the first batch, where 0 would be without end."""
    begin = min(begin, count - 1)
    return _Plan(begin, ["--num-transactions", str(count - begin), *pace], duration)


def demo_population(seed: int = SEED, start_date: dt.datetime | None = None) -> Population:
    """Whose transactions a demo without a recording generates.

    Args:
        seed: of population and fraud.
        start_date: first day of its history; None means 150 days ago.
    """
    from embedded.history import Population

    first = start_date or dt.datetime.now(dt.UTC) - dt.timedelta(days=_BEGAN_DAYS_AGO)
    return Population(seed, CARDS, MERCHANTS, first.date())
