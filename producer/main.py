"""`python -m producer.main`: generates or replays card transactions and writes them to Kinesis or to files."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import (
    INTERRUPTED,
    ConfigOption,
    JsonOption,
    SetOption,
    open_program,
    run_program,
    write_json,
)
from adapters.recordings.bad_rows import OnBadRow
from fraud.errors import MisconfiguredError
from fraud.settings import Settings
from producer.config import DEFAULT_TRANSACTIONS, LOCAL_ENDPOINT, Ask, ProducerConfig, Target, default_batch_size
from producer.pacing import Pacer, paced_batch_size

if TYPE_CHECKING:
    from producer.kinesis_producer import Progress

_REPORT_EVERY_S = 2.0


def command(
    num_transactions: Annotated[
        int | None,
        typer.Option(
            min=0, help="Transactions to send; 0 sends for ever. Default: 1000; --replay, --days, --attack all."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Maximum transactions written at once. Default: 5000; files 10000."),
    ] = None,
    use_aws: Annotated[bool, typer.Option("--use-aws", help="Write to AWS itself, not to a local emulator.")] = False,
    stream_name: Annotated[str | None, typer.Option(help="Stream of transactions; wins over the settings.")] = None,
    to: Annotated[Target, typer.Option(help="Where transactions go.")] = Target.KINESIS,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for --to parquet and --to jsonl.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but write.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Transactions a second; default: no limit.")] = None,
    burst: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Write in bursts of this many, at the same average rate.")
    ] = None,
    speed: Annotated[float | None, typer.Option(min=0.01, help="Send at this multiple of event time.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Event times follow the wall clock, from now on.")] = False,
    skip: Annotated[int, typer.Option(min=0, help="Leave out this many transactions at the beginning.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of population and fraud.")] = 7,
    cards: Annotated[int, typer.Option(min=20, help="Cards of the generated population.")] = 5_000,
    merchants: Annotated[int, typer.Option(min=20, help="Merchants of the generated population.")] = 1_000,
    campaigns: Annotated[str, typer.Option(help="Fraud: a name in config/campaigns or a YAML file.")] = "default",
    attack: Annotated[
        str | None,
        typer.Option(metavar="CAMPAIGN", help="Send the fraud of this campaign only, against a running population."),
    ] = None,
    cases: Annotated[int, typer.Option(min=1, max=1_000, help="Cases of the attack.")] = 3,
    start_time: Annotated[
        str | None, typer.Option(metavar="ISO-8601", help="Event time at which the attack begins; default: now.")
    ] = None,
    start_date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="First day of generated event times; default: today.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="End after this many days of event time.")] = None,
    replay: Annotated[
        Path | None,
        typer.Option(help="Send this recording instead: a file, a folder or a pattern such as 'days/*.csv'."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Mapping of its columns: a name in config/mappings or a file.")
    ] = None,
    on_bad_row: Annotated[
        OnBadRow,
        typer.Option(help="A row of the recording that cannot be read ends the run, or is counted and left out."),
    ] = OnBadRow.FAIL,
    bad_rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --on-bad-row dead-letter: a JSON line for each such row.")
    ] = None,
    ground_truth: Annotated[
        Path | None, typer.Option(help="Append a JSON line for every transaction sent: id, fraud, campaign, case.")
    ] = None,
    ask: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Ask this decision service about some cards' payments; API key in DECISIONS_API_KEY."
        ),
    ] = None,
    ask_share: Annotated[
        float, typer.Option(min=0.0001, max=1, help="With --ask: the share of the cards; the others' go on the stream.")
    ] = 0.25,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --ask: append a JSON line for every answer.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Send nothing; measure 60 (or --days) generated days: plots, table."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Write card transactions, and the labels that come due, to Kinesis, to files or to standard output.

    Ctrl-C sends what was already generated, prints how far it got and ends with exit code 130; a second one stops
    at once.

    \b
    Examples:
      python -m producer.main --num-transactions 100 --batch-size 10
      python -m producer.main --use-aws --stream-name fraud-transactions --num-transactions 0 --rate 200
      python -m producer.main --replay transactions.parquet --mapping handbook --speed 3600
      fraud produce --to parquet --output history --start-date 2026-01-01 --days 60
      fraud produce --attack card_testing --cases 5 --speed 3600
      DECISIONS_API_KEY=... fraud produce --ask http://127.0.0.1:8095 --rate 100 --num-transactions 0
      fraud produce --report report
    """
    settings = _settings(config, assignments, stream_name, use_aws, to)
    asked = ProducerConfig(
        num_transactions=_count(num_transactions, bounded=days is not None or replay is not None or attack is not None),
        skip=skip,
        batch_size=paced_batch_size(batch_size or default_batch_size(to), rate, burst),
        rate=rate,
        burst=burst,
        speed=speed,
        live=live,
        seed=seed,
        cards=cards,
        merchants=merchants,
        campaigns=campaigns,
        attack=attack,
        cases=cases,
        start_ms=_time_ms(start_time),
        start_date=_date(start_date),
        days=days,
        replay=replay,
        mapping=mapping,
        on_bad_row=on_bad_row,
        bad_rows=bad_rows,
        ground_truth=ground_truth,
        to=to,
        output=output,
        dry_run=dry_run,
        ask=None if ask is None else Ask(ask, os.environ.get("DECISIONS_API_KEY", ""), ask_share, answers),
    )
    if report is not None:
        from producer.report import write_report

        figures = write_report(asked, settings.money.base_currency, report)
        write_json(json, figures)
        return
    interrupted = _produce(asked, settings, json)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _produce(asked: ProducerConfig, settings: Settings, json: Path | None) -> bool:
    """Runs to the end; True where Ctrl-C ended it."""
    from producer.asking import Asking
    from producer.destinations import open_destination
    from producer.kinesis_producer import KinesisProducer
    from producer.source import open_source

    stopping, interrupted = threading.Event(), threading.Event()
    _listen(stopping, interrupted)
    started_ms = time.time_ns() // 1_000_000
    source = open_source(asked, settings.money.base_currency, started_ms if asked.live else None)
    destination = open_destination(asked, settings, sys.stdout.buffer)
    if asked.ask is not None:
        destination = Asking(asked.ask, destination)
    pacer = Pacer(asked.rate, 1.0 if asked.live else asked.speed, started_ms if asked.live else None, stopping.wait)
    producer = KinesisProducer(destination, pacer, asked.ground_truth, stopping, _Reporter(), asked.live)
    failure: str | None = None
    try:
        producer.run(source)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has enough; nothing to say
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        destination.close()
        progress = producer.progress
        ended = "" if failure is None and not stopping.is_set() else "stopped early: "
        print(f"{ended}{progress.text()}, to {destination.name}", file=sys.stderr if asked.to == "stdout" else None)
        write_json(json, _figures(progress, failure, stopping.is_set()))
    return interrupted.is_set()


class _Reporter:
    """Prints progress now and then."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._printed >= _REPORT_EVERY_S:
            self._printed = time.monotonic()
            print(progress.text(), file=sys.stderr)


def _listen(stopping: threading.Event, interrupted: threading.Event) -> None:
    def interrupt(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        stopping.set()

    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, interrupt)


def _figures(progress: Progress, failure: str | None, stopped: bool) -> dict[str, Any]:
    return {
        "destination": progress.destination.name,
        "sent": progress.sent,
        "labels": progress.destination.labels.accepted,
        "fraud": progress.fraud,
        "retried": progress.retried,
        "throttled": progress.throttled,
        "throttled_by_shard": progress.throttled_by_shard,
        "failure": failure,
        "stopped_early": stopped or failure is not None,
        "first_event_ms": progress.first_event_ms,
        "last_event_ms": progress.last_event_ms,
        "tx_per_s": progress.rate,
    }


def _settings(
    config: Path | None, assignments: list[str] | None, stream_name: str | None, use_aws: bool, to: Target
) -> Settings:
    if to is not Target.KINESIS and (use_aws or stream_name is not None):
        raise MisconfiguredError(f"--to {to}", "contradicts --use-aws and --stream-name")
    overrides: dict[str, Any] = {} if stream_name is None else {"streams.transactions": stream_name}
    if use_aws:
        overrides["aws.endpoint_url"] = None
    settings = open_program("producer", config, assignments, overrides)
    if settings.aws.endpoint_url is None and not use_aws:
        settings = open_program("producer", config, assignments, overrides | {"aws.endpoint_url": LOCAL_ENDPOINT})
    return settings


def _count(num_transactions: int | None, bounded: bool) -> int:
    if num_transactions is not None:
        return num_transactions
    return 0 if bounded else DEFAULT_TRANSACTIONS


def _date(text: str | None) -> dt.date:
    if text is None:
        return dt.datetime.now(dt.UTC).date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no date; write YYYY-MM-DD", param_hint="--start-date") from None


def _time_ms(text: str | None) -> int:
    """Epoch milliseconds of a time with zone; without one, of now."""
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"{text} is no time with zone; write 2026-01-15T12:00:00Z", param_hint="--start-time")
    return int(moment.timestamp() * 1000)


def main() -> None:
    """Runs the producer."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)


if __name__ == "__main__":
    main()
