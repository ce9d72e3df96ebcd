"""`python -m producer.main`: generates or replays card transactions and writes them to Kinesis."""

from __future__ import annotations

import datetime as dt
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from adapters.program import INTERRUPTED, ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from producer.config import LOCAL_ENDPOINT, ProducerConfig

log = structlog.get_logger()

_REPORT_EVERY_S = 2.0


def command(
    num_transactions: Annotated[int, typer.Option(min=0, help="Transactions to send; 0 sends for ever.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="Most transactions written at once.")] = 500,
    use_aws: Annotated[bool, typer.Option("--use-aws", help="Write to AWS itself, not to a local stand-in.")] = False,
    stream_name: Annotated[str | None, typer.Option(help="Stream of transactions; wins over the settings.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Transactions a second; default: no limit.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Leave out the first so many transactions.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of population and fraud.")] = 7,
    cards: Annotated[int, typer.Option(min=20, help="Cards of the generated population.")] = 5_000,
    merchants: Annotated[int, typer.Option(min=20, help="Merchants of the generated population.")] = 1_000,
    campaigns: Annotated[str, typer.Option(help="Fraud: a name in config/campaigns or a YAML file.")] = "default",
    start_date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="First day of generated event times; default: today.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Send this recorded Parquet or CSV file instead.")] = None,
    mapping: Annotated[str | None, typer.Option(help="Of its columns: a name in config/mappings or a file.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.01, help="Send at so many times event time.")] = None,
    ground_truth: Annotated[
        Path | None, typer.Option(help="Append a JSON line for every transaction sent: id, fraud, campaign, case.")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Write card transactions, and the labels that come due, to Kinesis.

    Ctrl-C sends what was taken up, says how far it came and ends with exit code 130.

    \b
    Examples:
      python -m producer.main --num-transactions 100 --batch-size 10
      python -m producer.main --use-aws --stream-name fraud-transactions --num-transactions 0 --rate 200
      python -m producer.main --replay transactions.parquet --mapping handbook --speed 3600
    """
    from adapters.stream_writer import KinesisWriter
    from producer.kinesis_producer import KinesisProducer, Progress
    from producer.pacing import Pacer
    from producer.source import open_source

    overrides: dict[str, Any] = {} if stream_name is None else {"streams.transactions": stream_name}
    if use_aws:
        overrides["aws.endpoint_url"] = None
    settings = open_program("producer", config, assignments, overrides)
    if settings.aws.endpoint_url is None and not use_aws:
        settings = open_program("producer", config, assignments, overrides | {"aws.endpoint_url": LOCAL_ENDPOINT})
    stopping = threading.Event()
    interrupted = threading.Event()

    def interrupt() -> None:
        interrupted.set()
        stopping.set()

    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: interrupt())
    asked = ProducerConfig(
        num_transactions=num_transactions,
        skip=skip,
        batch_size=Pacer(rate, speed, stopping.wait).batch_size(batch_size),
        rate=rate,
        speed=speed,
        seed=seed,
        cards=cards,
        merchants=merchants,
        campaigns=campaigns,
        start_date=_date(start_date),
        replay=replay,
        mapping=mapping,
        ground_truth=ground_truth,
    )
    source = open_source(asked, settings.money.base_currency)
    transactions = KinesisWriter(settings.streams.transactions, settings.aws)
    labels = KinesisWriter(settings.streams.labels, settings.aws)
    printed = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal printed
        if time.monotonic() - printed >= _REPORT_EVERY_S:
            printed = time.monotonic()
            counts = transactions.counts
            print(
                f"{progress.sent:,} sent, {progress.rate:,.0f}/s, {progress.labels:,} labels, "
                f"{counts.retried:,} retried, {counts.throttled:,} throttled",
                file=sys.stderr,
            )

    producer = KinesisProducer(asked, transactions, labels, stopping, report)
    try:
        producer.run(source)
    finally:
        counts = transactions.counts
        figures = {
            "sent": producer.progress.sent,
            "labels": producer.progress.labels,
            "retried": counts.retried,
            "throttled": counts.throttled,
            "tx_per_s": producer.progress.rate,
        }
        typer.echo(
            f"sent {producer.progress.sent:,} transactions to {settings.streams.transactions} and "
            f"{producer.progress.labels:,} labels to {settings.streams.labels}, "
            f"{producer.progress.rate:,.0f}/s, {counts.retried:,} retried"
        )
        write_json(json, figures)
    if interrupted.is_set():
        raise typer.Exit(INTERRUPTED)


def _date(text: str | None) -> dt.date:
    if text is None:
        return dt.datetime.now(dt.UTC).date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no date; write YYYY-MM-DD", param_hint="--start-date") from None


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
