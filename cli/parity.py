"""`fraud parity`: are the features that the job stored those that training computes?"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from fraud.features.parity import Parity
    from fraud.settings import Settings

_FOLDER = Path(".local/parity")
_TRANSACTIONS = 20_000


def command(
    archive: Annotated[
        bool, typer.Option("--archive", help="Replay the configured archive instead of a bounded local run.")
    ] = False,
    transactions: Annotated[
        int, typer.Option(min=1_000, help="Transactions of the bounded local run.")
    ] = _TRANSACTIONS,
    start_date: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="YYYY-MM-DD",
            formats=["%Y-%m-%d"],
            help="First day of the local run's event times; default: 60 days ago.",
        ),
    ] = None,
    answered: Annotated[
        bool,
        typer.Option("--answered", help="Compare what was answered in the call with what the job computed; --archive."),
    ] = False,
    in_flight_ms: Annotated[
        int,
        typer.Option(min=0, help="With --answered: how long before or after an answer another record may be unseen."),
    ] = 10_000,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Replay archived transactions and labels offline and compare every stored feature with the offline value.

    Without --archive a bounded job runs on this machine first, against the local emulator. The archive must begin
    where its query began, with the history that backfilled state was folded from. Features that did not exist when a
    transaction was stored are counted and not compared.
    Exit code 1 if any value differs or nothing could be compared.

    With --answered, the configured archive's decisions that were answered in the call are compared, with their
    features, with those of the job. A card's features must be equal in every bit, unless an unasked record, a label or
    an answer of another instance for that card was in flight. Of shared entities and of outcomes it gives the share
    that differs, with a 95 % upper bound that takes values as independent.

    \b
    Examples:
      fraud parity --json parity.json
      fraud parity --answered --json answered.json
      fraud parity --archive --set job.query=fraud --set archive.bucket=my-archive
    """
    settings = open_program("parity", config, assignments)
    if answered:
        _compare_answered(settings, in_flight_ms, json)
        return
    found, unknown = _replay(settings) if archive else _run_and_replay(settings, transactions, start_date)
    mismatched = sum(found.mismatched.values())
    figures: dict[str, Any] = {
        "transactions": found.transactions,
        "compared": found.compared,
        "mismatched": mismatched,
        "unmatched_transactions": found.unmatched,
        "mismatched_by_feature": dict(found.mismatched),
        "not_stored_by_feature": dict(found.not_stored),
        "unknown_columns": unknown,
    }
    write_json(json, figures)
    typer.echo(f"{found.transactions:,} transactions: {found.compared:,} values compared, {mismatched:,} mismatched")
    for name, count in found.mismatched.most_common():
        typer.echo(f"  {name}: {count:,}")
    if found.not_stored:
        typer.echo(f"not stored: {len(found.not_stored)}, by so many transactions")
        for name, count in found.not_stored.most_common():
            typer.echo(f"  {name}: {count:,}")
    if unknown:
        typer.echo(f"stored, but unknown to this version: {len(unknown)}")
        for name in unknown:
            typer.echo(f"  {name}")
    if mismatched or found.unmatched or not found.compared:
        raise typer.Exit(1)


def _compare_answered(settings: Settings, in_flight_ms: int, json: Path | None) -> None:
    from adapters.archive.archive import open_archive
    from fraud.decision.answered_parity import upper_bound
    from fraud.features import catalogue_of
    from operations.answered_parity import compare_archive
    from processor.recomputed import Recomputed

    archive = open_archive(settings.archive, settings.aws)
    found, second = compare_archive(
        archive, settings.job.query, in_flight_ms, Recomputed(settings, archive).outcomes, catalogue_of(settings)
    )
    bounds = {
        "shared_upper_bound": upper_bound(found.shared_different, found.shared_values),
        "verdicts_upper_bound": upper_bound(found.verdicts_different, found.verdicts),
    }
    write_json(json, asdict(found) | asdict(second) | bounds)
    typer.echo(f"{found.answers:,} answers, {found.not_compared:,} not comparable by this version")
    typer.echo(f"{'':22}{'compared':>12}{'different':>11}{'share at most':>15}")
    for name, compared, different, bound in (
        ("values of cards", found.card_values, found.card_different, ""),
        ("answers that crossed", found.crossed, found.crossed_different, ""),
        ("values shared by cards", found.shared_values, found.shared_different, f"{bounds['shared_upper_bound']:.2g}"),
        ("outcomes", found.verdicts, found.verdicts_different, f"{bounds['verdicts_upper_bound']:.2g}"),
    ):
        typer.echo(f"{name:22}{compared:>12,}{different:>11,}{bound:>15}")
    for name, count in found.different.most_common():
        typer.echo(f"  {name}: {count:,}")
    typer.echo(
        f"later answers to a payment: {second.repeated:,} repeat the first, {second.conflicting:,} are others, "
        f"{second.different:,} with another outcome"
    )
    if not found.sound:
        raise typer.Exit(1)


def _replay(settings: Settings) -> tuple[Parity, list[str]]:
    """What the comparison found, and the stored columns that this version does not know."""
    from adapters.archive.archive import open_archive
    from adapters.archive.batch_replay import archived_batches
    from fraud.decision.record import decision_schema
    from fraud.features.parity import NOTHING, compare
    from fraud.path import FeaturePath
    from processor.keyed_state.backfill import history_of

    path = FeaturePath(settings)
    total, names = NOTHING, set[str]()
    for records in history_of(settings):
        path.advance(records)
    archive = open_archive(settings.archive, settings.aws)
    for batch in archived_batches(archive, settings.job.query, stored=True):
        computed = path.advance(batch.records).transactions
        if computed is not None:
            total += compare(batch.stored, computed, path.catalogue)
            names.update(*(table.schema.names for table in batch.stored))
    return total, sorted(names - {*decision_schema(path.catalogue.columns).names})


def _run_and_replay(settings: Settings, transactions: int, start_date: dt.date | None) -> tuple[Parity, list[str]]:
    from embedded.run import Run
    from embedded.stack import LocalStack

    # Two months back, so that the labels of the first weeks have come due.
    first = start_date or dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
    cards = max(20, transactions // 80)
    source = ["--cards", str(cards), "--merchants", str(max(20, cards // 3)), "--start-date", f"{first:%Y-%m-%d}"]
    with LocalStack(settings, _FOLDER) as stack:
        typer.echo(f"a local run of {transactions:,} transactions, {cards:,} cards ...")
        run = Run(stack, lambda *_: None)
        run.start(source, transactions)
        run.stop()
        return _replay(stack.settings)
