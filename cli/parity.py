"""`fraud parity`: are the features that the job stored those that training computes?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json

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
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Replay archived transactions and labels offline and compare every stored feature with the offline value.

    Without --archive a bounded job runs on this machine first, against the local stand-in. The archive must begin
    where its query began. Exit code 1 if any value differs or nothing could be compared.

    \b
    Examples:
      fraud parity --json parity.json
      fraud parity --archive --set job.query=fraud --set archive.bucket=my-archive
    """
    settings = open_program("parity", config, assignments)
    found = _replay(settings) if archive else _run_and_replay(settings, transactions)
    mismatched = sum(found.mismatched.values())
    figures: dict[str, Any] = {
        "transactions": found.transactions,
        "compared": found.compared,
        "mismatched": mismatched,
        "unmatched_transactions": found.unmatched,
        "mismatched_by_feature": dict(found.mismatched),
    }
    write_json(json, figures)
    typer.echo(f"{found.transactions:,} transactions: {found.compared:,} values compared, {mismatched:,} mismatched")
    for name, count in found.mismatched.most_common():
        typer.echo(f"  {name}: {count:,}")
    if mismatched or found.unmatched or not found.compared:
        raise typer.Exit(1)


def _replay(settings: Settings) -> Parity:
    import pyarrow as pa

    from adapters.archive import Archive
    from adapters.batch_replay import archived_batches
    from fraud.features.offline import FeaturePath
    from fraud.features.parity import NOTHING, PARITY_COLUMNS, compare

    job = settings.job
    path = FeaturePath.of(job)
    total = NOTHING
    for batch in archived_batches(Archive(settings), job.query):
        labels = None if batch.labels is None else batch.labels.combine_chunks().to_batches()[0]
        if batch.decisions is None:
            path.fold_labels(labels)
            continue
        stored = batch.decisions.combine_chunks()
        computed = path.run(stored.drop_columns(list(PARITY_COLUMNS)).to_batches()[0], labels)
        total += compare(stored, pa.Table.from_batches([computed]))
    return total


def _run_and_replay(settings: Settings, transactions: int) -> Parity:
    import datetime as dt

    from embedded.run import Run
    from embedded.stack import LocalStack

    # Two months back, so that the labels of the first weeks have come due.
    begun = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=60)
    cards = max(20, transactions // 80)
    source = ["--cards", str(cards), "--merchants", str(max(20, cards // 3)), "--start-date", begun.isoformat()]
    with LocalStack(settings, _FOLDER) as stack:
        typer.echo(f"a local run of {transactions:,} transactions, {cards:,} cards ...")
        run = Run(stack, lambda *_: None)
        run.start(source, transactions)
        run.stop()
        return _replay(stack.settings)
