"""`fraud state`: looks into the keyed state of a query, exports it, and fills it before a query goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError
from fraud.money import format_amount

if TYPE_CHECKING:
    from fraud.entities import Entity

app = typer.Typer(help="Look into keyed state, export it, fill it from history.", no_args_is_help=True)

_LATEST = 20
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WINDOWS = ("10 min", 600), ("1 h", 3_600), ("24 h", 86_400), ("7 d", 604_800), ("30 d", 2_592_000)


@app.command()
def show(
    entity: Annotated[str, typer.Argument(help="What to look up, as job.entities names it: card, merchant, ...")],
    ids: Annotated[list[str], typer.Argument(help="Its id; card token and merchant id for card_merchant.")],
    latest: Annotated[int, typer.Option(min=0, help="How many of the latest events to list.")] = _LATEST,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Show what the query's checkpoint knows of a card, a merchant or another entity, as of its last committed batch.

    Reads only; the job may run. Ids other than the one asked for are kept as hashes. Exit code 1 if it is unknown.

    \b
    Examples:
      fraud state show card tok-000123
      fraud state show merchant m-00042 --latest 5 --set job.checkpoint=s3a://checkpoints/fraud
      fraud state show card_merchant tok-000123 m-00042
    """
    settings = open_program("state", config, assignments)
    from fraud.entities import measured

    kind = {kept.name: kept for kept in measured(settings.job)}.get(entity)
    if kind is None:
        raise MisconfiguredError("job.entities", f"has no {entity}: the query keeps no state of it")
    if len(ids) != len(kind.columns):
        raise MisconfiguredError("ID", f"a {kind.label} is found by {' and '.join(kind.columns)}")
    import pyarrow as pa

    from fraud.features.inspect import key_table
    from processor.envelope import joined_id, key_group_of
    from processor.keyed_state.stored import StoredState
    from processor.session import open_session

    shown = " ".join(ids)
    group = int(key_group_of(joined_id(*(pa.array([part]) for part in ids)), settings.job.key_groups)[0])
    spark = open_session(settings)
    try:
        stored = StoredState(spark, settings)
        rows = key_table(stored.group(kind, group), kind, ids).to_pylist()
    finally:
        spark.stop()
    if not rows:
        typer.echo(f"{kind.label} {shown} is not in the state after batch {stored.batch}")
        raise typer.Exit(1)
    figures = {"entity": entity, "id": shown, "batch": stored.batch, "key_group": group, **rows[0]}
    write_json(json, figures)
    for line in _described(kind, figures, settings.money.base_currency, latest):
        typer.echo(line)


def _described(entity: Entity, figures: dict[str, Any], currency: str, latest: int) -> list[str]:
    events = figures["events"]
    last = figures["last_arrival_time"]
    lines = [
        f"{entity.label} {figures['id']}, key group {figures['key_group']}, after batch {figures['batch']}",
        f"  first arrival   {figures['first_arrival_time']:%Y-%m-%d %H:%M:%S} UTC",
        f"  last arrival    {last:%Y-%m-%d %H:%M:%S} UTC",
        f"  remembered      {len(events):,} events"
        + (
            f", older ones until {figures['forgotten_until']:%Y-%m-%d %H:%M:%S} fell out"
            if figures["forgotten_until"]
            else ""
        ),
        f"  whole history   {figures['history_count']:,} amounts",
    ]
    if figures["usual_hour"] is not None:
        lines.append(f"  usual hour      {figures['usual_hour']:.1f} UTC")
        lines.append(f"  usual weekday   {_WEEKDAYS[round(figures['usual_weekday']) % 7]}")
    if figures["last_place_time"] is not None:
        place = f"{figures['last_place_lat']:.3f}, {figures['last_place_lon']:.3f}"
        lines.append(f"  last present    {place} at {figures['last_place_time']:%Y-%m-%d %H:%M:%S}")
    for name, seconds in _WINDOWS:
        inside = [e["amount_minor"] for e in events if 0 <= (last - e["event_time"]).total_seconds() < seconds]
        lines.append(
            f"  until then {name:>6} {len(inside):>6,} events {format_amount(sum(inside), currency):>14} {currency}"
        )
    for event in reversed(events[len(events) - min(latest, len(events)) :]):
        codes = "" if event["country"] is None else f"{event['channel']:<9} {event['country']} {event['mcc']} "
        marks = " ".join(name for name in ("declined", "unusual", "fraud") if event[name])
        lines.append(
            f"  {event['event_time']:%Y-%m-%d %H:%M:%S} {format_amount(event['amount_minor'], currency):>12} "
            f"{codes}{marks}".rstrip()
        )
    return lines


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made if absent, must not hold an export.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Write the state of every key to Parquet: FOLDER/card, FOLDER/merchant, ..., one file a key group.

    As of the last committed batch; reads only, the job may run. One row a key, its remembered events nested; ids are
    hashes. `fraud.features.inspect.STATE_SCHEMA` says what the columns mean.

    \b
    Example:
      fraud state export state-of-today --json export.json
    """
    settings = open_program("state", config, assignments)
    import pyarrow.parquet as pq

    from fraud.features.inspect import state_table
    from processor.keyed_state.stored import StoredState
    from processor.session import open_session

    if folder.exists() and any(folder.iterdir()):
        raise MisconfiguredError("FOLDER", f"{folder} is not empty")
    spark = open_session(settings)
    figures: dict[str, Any] = {}
    try:
        stored = StoredState(spark, settings)
        figures["batch"] = stored.batch
        for entity in stored.entities:
            heads = stored.heads(entity)
            (folder / entity.name).mkdir(parents=True)
            keys = events = 0
            for group in sorted(heads):
                table = state_table(stored.group(entity, group))
                pq.write_table(table, folder / entity.name / f"{group:04d}.parquet", compression="zstd")
                keys += table.num_rows
                events += sum(len(chunk.values) for chunk in table["events"].chunks)
            figures[entity.name] = {
                "key_groups": len(heads),
                "keys": keys,
                "events": events,
                "log_bytes": sum(head.log_bytes for head in heads.values()),
            }
            typer.echo(f"{entity.label}: {keys:,} keys with {events:,} events in {len(heads)} key groups")
    finally:
        spark.stop()
    write_json(json, figures)


@app.command()
def size(config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None) -> None:
    """Show how large the state's logs in the checkpoint are, by entity, and what of them waits to be compacted.

    As of the last committed batch; reads only, the job may run. The job's own metrics (fraud_state_copy_bytes, ...) say
    besides what local copies hold.

    \b
    Example:
      fraud state size --json -
    """
    settings = open_program("state", config, assignments)
    from processor.keyed_state.stored import StoredState
    from processor.session import open_session

    spark = open_session(settings)
    figures: dict[str, Any] = {}
    try:
        stored = StoredState(spark, settings)
        figures["batch"] = stored.batch
        for entity in stored.entities:
            heads = stored.heads(entity)
            logs = {group: head.log_bytes for group, head in heads.items()}
            largest = max(logs, key=lambda group: logs[group], default=None)
            figures[entity.name] = {
                "key_groups": len(heads),
                "log_bytes": sum(logs.values()),
                "snapshot_bytes": sum(head.snapshot_bytes for head in heads.values()),
                "owed_bytes": sum(max(0, head.owed) for head in heads.values()),
                "largest_group": largest,
                "largest_log_bytes": max(logs.values(), default=0),
            }
            typer.echo(_sized(entity, figures[entity.name]))
    finally:
        spark.stop()
    write_json(json, figures)


def _sized(entity: Entity, figures: dict[str, Any]) -> str:
    mega = {name: value / 1e6 for name, value in figures.items() if name.endswith("_bytes")}
    return (
        f"{entity.label}: {mega['log_bytes']:,.1f} MB in {figures['key_groups']} key groups, of which "
        f"{mega['snapshot_bytes']:,.1f} MB are snapshots; the largest, {figures['largest_group']}, has "
        f"{mega['largest_log_bytes']:,.1f} MB; {mega['owed_bytes']:,.1f} MB wait to be compacted"
    )


@app.command()
def backfill(
    source_query: Annotated[str, typer.Option("--from", metavar="QUERY", help="Query whose archive is read.")],
    source_prefix: Annotated[
        str | None, typer.Option("--from-prefix", help="Key prefix of its archive (default: archive.prefix).")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Backfill the state of a query that has not started from the history in another query's archive.

    The state waits in the archive under primed/QUERY/ until the query (job.query) starts with a new checkpoint. Start
    it with job.start=earliest: what history has already is refused as a duplicate, what it lacks is decided.

    \b
    Example:
      fraud state backfill --from fraud --set job.query=fraud-2
    """
    settings = open_program("state", config, assignments)
    import secrets

    from adapters.archive.archive import open_archive
    from adapters.archive.batch_replay import archived_batches
    from processor.keyed_state.backfill import Backfill, require_unbegun

    own = open_archive(settings.archive, settings.aws)
    require_unbegun(own, settings.job.query)
    placed = settings.archive
    if source_prefix is not None:
        placed = placed.model_copy(update={"prefix": source_prefix})
    history = open_archive(placed, settings.aws)
    folded = Backfill(settings)
    batches = transactions = labels = 0
    for batch in archived_batches(history, source_query):
        folded.fold(batch.records)
        batches += 1
        transactions += 0 if batch.records.transactions is None else batch.records.transactions.num_rows
        labels += 0 if batch.records.labels is None else batch.records.labels.num_rows
    if not batches:
        raise MisconfiguredError("--from", f"the archive has no batches of a query named {source_query}")
    source: dict[str, Any] = {"query": source_query, "batches": batches, "transactions": transactions, "labels": labels}
    written = folded.write(own, secrets.token_hex(8), source | {"prefix": placed.prefix})
    for name, value in source.items():
        typer.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
    for entity, found in written.items():
        typer.echo(f"{entity.label}: {found.keys:,} keys, {found.bytes / 1e6:,.1f} MB")
    typer.echo(f"{settings.job.query} begins with this state when it starts with a new checkpoint")
    write_json(json, source | {entity.name: found._asdict() for entity, found in written.items()})


@app.command("continue")
def continue_(
    reason: Annotated[str, typer.Option("--reason", help="Why, kept with the note: what happened to the checkpoint.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Let a query go on from a checkpoint that lies behind its archive, because it was restored or lost writes.

    Also lets it finish a batch that this version cannot resume. The job must not run. The next batches get numbers
    above all in the archive. What the archive has of the records that are read again stays as it is and is folded into
    the state; the rest is decided. A note of who did so, when and why stays in the archive, continuations/QUERY/.

    \b
    Example:
      fraud state continue --reason "restored the backup of 3 May after the disk was lost"
    """
    settings = open_program("state", config, assignments)
    import getpass
    import time

    from adapters.archive.archive import open_archive
    from adapters.archive.lease import lease_of
    from adapters.program.version import program_version
    from processor.checkpoint_folder import CheckpointFolder
    from processor.continuation import continue_from
    from processor.session import open_session

    if not reason.strip():
        raise MisconfiguredError("--reason", "must say why")
    archive = open_archive(settings.archive, settings.aws)
    archive.require_writable()
    with lease_of(archive, settings.job.query, "fraud state continue"):
        spark = open_session(settings)
        try:
            note = continue_from(
                CheckpointFolder(spark, settings.job.checkpoint),
                archive,
                settings,
                reason,
                getpass.getuser(),
                time.time_ns() // 1_000_000,
                program_version(),
            )
        finally:
            spark.stop()
    typer.echo(
        f"{settings.job.query} goes on with batch {note.first}: {len(note.objects):,} objects hold records that are "
        "read again and stay as they are"
    )
    write_json(json, {"first": note.first, "objects": len(note.objects), "number": note.number, "by": note.by})
