"""Small archives of decisions for tests of backtests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.archive import Archive
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.features import FEATURE_FIELDS, FEATURE_NAMES
from fraud.records.arrival import with_arrival
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.decisions import FixedScorer, featured
from tests.support.records import NOON, label, transaction

UNKNOWN = "feature_of_another_version"

Row = Mapping[str, Any]


def at(day: int, **fields: Any) -> dict[str, Any]:
    """A transaction some days after the first noon."""
    return {"event_time": NOON + dt.timedelta(days=day), **fields}


def decided(rows: Sequence[Row], scores: Sequence[float | None], policy: CompiledPolicy) -> pa.Table:
    """Decisions as the job archives them: transactions with features and the verdicts of a policy."""
    numbered = [{"transaction_id": f"t-{number}"} | dict(row) for number, row in enumerate(rows)]
    batch = featured(*numbered)
    verdicts = decide(batch, FixedScorer(scores), policy)
    return pa.table(
        {name: batch[name] for name in batch.schema.names} | {name: verdicts[name] for name in verdicts.schema.names}
    )


def labels_for(decisions: pa.Table, frauds: Sequence[int], after_days: int = 2, verdict: str = "fraud") -> pa.Table:
    """Labels of some decisions, by row, known some days later."""
    rows = decisions.select(["transaction_id", "card_token", "event_time"]).to_pylist()
    known = [
        label(
            transaction_id=row["transaction_id"],
            card_token=row["card_token"],
            transaction_time=row["event_time"],
            label_time=row["event_time"] + dt.timedelta(days=after_days),
            verdict=verdict,
        )
        for row in (rows[number] for number in frauds)
    ]
    plain = dict.fromkeys(LABEL_SCHEMA.names)
    return pa.Table.from_pylist([plain | row for row in known], schema=LABEL_SCHEMA)


def days_of_refusals(policy: CompiledPolicy, days: int) -> tuple[pa.Table, pa.Table]:
    """Decisions with every column, and labels: ten transactions a day, the first after many refusals and with the
    highest score; that one is fraud every second day."""
    schema = pa.schema([*TRANSACTION_SCHEMA, *FEATURE_FIELDS])
    plain = dict.fromkeys(schema.names) | transaction() | dict.fromkeys(FEATURE_NAMES, 0.0)
    rows = [
        plain
        | {
            "transaction_id": f"t-{day}-{number}",
            "event_time": NOON + dt.timedelta(days=day, minutes=number),
            "customer_id": f"customer-{day}",
            "billing_amount_minor": 10_000,
            "tx_amount": 100.0,
            "card_declines_24h": 6.0 if number == 0 else 0.0,
        }
        for day in range(days)
        for number in range(10)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    verdicts = decide(batch, FixedScorer([0.04 if n % 10 == 0 else 0.001 for n in range(len(rows))]), policy)
    decisions = pa.Table.from_arrays([*batch.columns, *verdicts.columns], [*batch.schema.names, *verdicts.schema.names])
    return decisions, labels_for(decisions, range(0, len(rows), 20))


def write_archive(folder: Path, decisions: pa.Table, labels: pa.Table, parts: int = 2) -> None:
    """Writes an archive with several decision objects in date folders."""
    size = -(-len(decisions) // parts)
    for part in range(parts):
        file = folder / "decisions" / "date=2026-01-15" / f"{part}.parquet"
        _write(file, _arrived(decisions.slice(part * size, size), "event_time"))
    _write(folder / "labels" / "date=2026-01-15" / "0.parquet", _arrived(labels, "label_time"))


def _arrived(records: pa.Table, time_column: str) -> pa.Table:
    """Records that arrived when they happened, in their order, unless they say when."""
    if "arrival_ms" in records.column_names:
        return records
    (batch,) = records.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], records.schema)]
    arrived = with_arrival(batch, time_column, 0)
    return (
        pa.Table.from_batches([arrived])
        if "verdict" in records.column_names
        else records.append_column("arrival_ms", arrived["arrival_ms"])
    )


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def written_by_another_version(archive: Archive, key: str, columns: Sequence[str]) -> None:
    """Replaces an object by one of a version that did not know some columns, but `UNKNOWN`."""
    table = archive.read_stored(key).drop_columns(list(columns))
    archive.replace_table(key, table.append_column(UNKNOWN, pa.array(range(table.num_rows))))
