"""`fraud state`: looks into the keyed state of a query, exports it, and fills it before a query goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

    from fraud.features.catalogue import Entity

app = typer.Typer(help="Look into keyed state, export it, fill it from history.", no_args_is_help=True)

_LATEST = 20
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WINDOWS = ("10 min", 600), ("1 h", 3_600), ("24 h", 86_400), ("7 d", 604_800), ("30 d", 2_592_000)


@app.command()
def show(
    card: Annotated[str | None, typer.Option(help="Card token.")] = None,
    merchant: Annotated[str | None, typer.Option(help="Merchant id.")] = None,
    device: Annotated[str | None, typer.Option(help="Device id, where job.entities has device.")] = None,
    issuer_bin: Annotated[str | None, typer.Option("--bin", help="BIN, where job.entities has bin.")] = None,
    latest: Annotated[int, typer.Option(min=0, help="How many of the latest events to list.")] = _LATEST,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Show what the query's checkpoint knows of a card, merchant, device or BIN, as of its last committed batch.

    Reads only; the job may run. Ids other than the one asked for are kept as hashes. Exit code 1 if it is unknown.

    \b
    Examples:
      fraud state show --card tok-000123
      fraud state show --merchant m-00042 --latest 5 --set job.checkpoint=s3a://checkpoints/fraud
    """
    asked = {"card": card, "merchant": merchant, "device": device, "bin": issuer_bin}
    given = [(name, found) for name, found in asked.items() if found is not None]
    if len(given) != 1:
        raise MisconfiguredError("--card, --merchant, --device, --bin", "give one of them")
    ((name, entity_id),) = given
    settings = open_program("state", config, assignments)
    if name not in settings.job.entities:
        raise MisconfiguredError("job.entities", f"has no {name}: the query keeps no state of it")
    import pyarrow as pa

    from fraud.features.catalogue import Entity
    from fraud.features.inspect import key_table
    from processor.envelope import key_group_of
    from processor.keyed_state.stored import StoredState
    from processor.session import open_session

    entity = Entity(name)
    group = int(key_group_of(pa.array([entity_id]), settings.job.key_groups)[0])
    spark = open_session(settings)
    try:
        stored = StoredState(spark, settings)
        rows = key_table(stored.group(entity, group), entity_id).to_pylist()
    finally:
        spark.stop()
    if not rows:
        typer.echo(f"{entity.label} {entity_id} is not in the state after batch {stored.batch}")
        raise typer.Exit(1)
    figures = {"entity": entity.value, "id": entity_id, "batch": stored.batch, "key_group": group, **rows[0]}
    write_json(json, figures)
    for line in _described(entity, figures, settings.money.base_currency, latest):
        typer.echo(line)


def _described(entity: Entity, figures: dict[str, Any], currency: str, latest: int) -> list[str]:
    events = figures["events"]
    last = figures["last_event_time"]
    lines = [
        f"{entity.label} {figures['id']}, key group {figures['key_group']}, after batch {figures['batch']}",
        f"  last event      {last:%Y-%m-%d %H:%M:%S} UTC",
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
        inside = [e["amount_minor"] for e in events if (last - e["event_time"]).total_seconds() < seconds]
        lines.append(f"  until then {name:>6} {len(inside):>6,} events {sum(inside) / 100:>14,.2f} {currency}")
    for event in reversed(events[len(events) - min(latest, len(events)) :]):
        marks = " ".join(name for name in ("declined", "unusual", "fraud") if event[name])
        lines.append(
            f"  {event['event_time']:%Y-%m-%d %H:%M:%S} {event['amount_minor'] / 100:>12,.2f} "
            f"{event['channel']:<9} {event['country']} {event['mcc']} {marks}".rstrip()
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
            (folder / entity).mkdir(parents=True)
            keys = events = 0
            for group in sorted(heads):
                table = state_table(stored.group(entity, group))
                pq.write_table(table, folder / entity / f"{group:04d}.parquet", compression="zstd")
                keys += table.num_rows
                events += sum(len(chunk.values) for chunk in table["events"].chunks)
            figures[entity.value] = {
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
def prime(
    source_query: Annotated[str, typer.Option("--from", metavar="QUERY", help="Query whose archive is folded.")],
    source_prefix: Annotated[
        str | None, typer.Option("--from-prefix", help="Key prefix of its archive (default: archive.prefix).")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Fill the state of a query that has not begun with the history in another query's archive.

    The state waits in the archive under primed/QUERY/ until the query (job.query) starts with a new checkpoint. Start
    it with job.start=earliest: what history has already is refused as a duplicate, what it lacks is decided.

    \b
    Example:
      fraud state prime --from fraud --set job.query=fraud-2
    """
    settings = open_program("state", config, assignments)
    import secrets

    from adapters.archive import Archive
    from adapters.batch_replay import archived_batches
    from fraud.arrival import ARRIVAL_FIELDS
    from fraud.label import LABEL_SCHEMA
    from fraud.transaction import TRANSACTION_SCHEMA
    from processor.keyed_state.primed import Primer, require_unbegun

    own = Archive(settings)
    require_unbegun(own, settings.job.query)
    history = own
    if source_prefix is not None:
        placed = settings.archive.model_copy(update={"prefix": source_prefix})
        history = Archive(settings.model_copy(update={"archive": placed}))
    primer = Primer(settings)
    arrival = [field.name for field in ARRIVAL_FIELDS]
    batches = transactions = labels = 0
    for batch in archived_batches(history, source_query):
        decided = _one_batch(batch.decisions, [*arrival, *TRANSACTION_SCHEMA.names])
        judged = _one_batch(batch.labels, [*arrival, *LABEL_SCHEMA.names])
        primer.fold(decided, judged)
        batches += 1
        transactions += 0 if decided is None else decided.num_rows
        labels += 0 if judged is None else judged.num_rows
    if not batches:
        raise MisconfiguredError("--from", f"the archive has no batches of a query named {source_query}")
    source = {"query": source_query, "batches": batches, "transactions": transactions, "labels": labels}
    written = primer.write(own, secrets.token_hex(8), source)
    for name, value in source.items():
        typer.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
    for entity, primed in written.items():
        typer.echo(f"{entity.label}: {primed.keys:,} keys, {primed.bytes / 1e6:,.1f} MB")
    typer.echo(f"{settings.job.query} begins with this state when it starts with a new checkpoint")
    write_json(json, source | {entity.value: primed._asdict() for entity, primed in written.items()})


def _one_batch(table: pa.Table | None, columns: list[str]) -> pa.RecordBatch | None:
    return None if table is None else table.select(columns).combine_chunks().to_batches()[0]
