"""Writes an archive of synthetic decisions for benchmarks: plausible columns, no real behaviour behind them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraud.decision.record import COMMIT_FIELDS, VERDICT_FIELDS
from fraud.records.arrival import with_arrival
from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import TIMESTAMP_MS, literals
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

FIRST_MS = 1_767_225_600_000
"""1 January 2026."""

FRAUD_PER_SCORE = 0.1
"""Share of frauds among decisions of score 1; it falls in proportion."""

_WHOLE = ("count", "merchants", "countries", "devices", "declines", "cards", "_new_", "_is_", "unusual")
"""Parts of feature names whose values are whole numbers; the others have two decimals, as amounts have."""

_MATCH = ["match"] * 30

_CHOICES: dict[str, list[str | None]] = {
    **{name: list(values) for name, values in literals(Transaction).items()},
    "transaction_type": ["purchase"],
    "authorisation_result": ["approved", "approved", "approved", "declined"],
    "response_code": ["00", "51"],
    "issuer_country": ["DE", "FR", "NL"],
    "merchant_country": ["DE", "FR", "NL", "US", "GB"],
    "mcc": ["5411", "5812", "5999", "4829", "7995"],
    "currency": ["EUR", "USD"],
    "channel": ["pos", "ecommerce", "atm", "moto"],
    "entry_mode": ["chip", "contactless", "manual"],
    "initiation": ["cardholder", "recurring"],
    "avs_result": [*_MATCH, "no_match", None],
    "cvv_result": [*_MATCH, "no_match", None],
    "three_ds_result": ["authenticated", "attempted", None],
    "bin": ["411111", "550000"],
    "scored_by": ["in_process"],
}


def write_archive(
    folder: Path, decisions: int, features: Iterable[pa.Field], days: int = 30, scale: float = 4.0
) -> None:
    """Writes `decisions/` and `labels/` below a folder, one object a day; the same every time."""
    rng = np.random.default_rng(7)
    per_day = decisions // days
    for day in range(days):
        start_ms = FIRST_MS + day * 86_400_000
        table = synthetic_decisions(per_day, list(features), rng, start_ms, day * per_day, scale)
        _write(folder / "decisions" / f"day={day:03d}.parquet", table)
        _write(folder / "labels" / f"day={day:03d}.parquet", _labels(table, rng, day))


def synthetic_decisions(
    rows: int, features: list[pa.Field], rng: np.random.Generator, start_ms: int, first_id: int = 0, scale: float = 4.0
) -> pa.Table:
    """Decisions of one day: random features (a tenth null), scores that are mostly small."""
    columns: dict[str, pa.Array] = {}
    for field in [*TRANSACTION_SCHEMA, *features, *VERDICT_FIELDS, *COMMIT_FIELDS]:
        columns[field.name] = _column(field, rows, rng, start_ms, first_id, scale)
    return pa.table(columns)


def _column(
    field: pa.Field, rows: int, rng: np.random.Generator, start_ms: int, first_id: int, scale: float
) -> pa.Array:
    name = field.name
    if name in _CHOICES and pa.types.is_string(field.type):
        choices = pa.array(_CHOICES[name], pa.string())
        return choices.take(pa.array(rng.integers(0, len(choices), rows)))
    if name == "transaction_id":
        return pa.array([f"t-{first_id + i}" for i in range(rows)])
    if name in ("outcome", "shadow_outcome", "lists_outcome", "rules_outcome", "model_outcome"):
        return pa.repeat("approve", rows)
    if name.startswith("challenger"):
        return pa.nulls(rows, field.type)
    if name == "score":
        return pa.array(rng.beta(0.3, 12, rows))
    if pa.types.is_timestamp(field.type):
        return pa.array(start_ms + np.sort(rng.integers(0, 86_400_000, rows)), pa.int64()).cast(TIMESTAMP_MS)
    if pa.types.is_integer(field.type):
        return pa.array(rng.lognormal(8, 1.2, rows).astype(np.int64), field.type)
    if pa.types.is_floating(field.type):
        decimals = 0 if any(word in name for word in _WHOLE) else 2
        return pa.array(np.round(rng.gamma(1.0, scale, rows), decimals), mask=rng.random(rows) < 0.1)
    if pa.types.is_list(field.type):
        return pa.array([[]] * rows, field.type)
    names = pa.array([f"{name}-{i}" for i in range(10_000)])
    return names.take(pa.array(rng.integers(0, len(names), rows)))


def _labels(decisions: pa.Table, rng: np.random.Generator, day: int) -> pa.Table:
    rows = np.flatnonzero(rng.random(len(decisions)) < FRAUD_PER_SCORE * decisions["score"].to_numpy())
    picked = decisions.take(pa.array(rows))
    later = picked["event_time"].cast(pa.int64()).to_numpy() + rng.integers(1, 20, len(rows)) * 86_400_000
    columns = {
        "schema_version": pa.array(np.ones(len(rows), np.int64)),
        "transaction_time": picked["event_time"],
        "verdict": pa.repeat("fraud", len(rows)),
        "source": pa.repeat("chargeback", len(rows)),
        "label_time": pa.array(later, pa.int64()).cast(TIMESTAMP_MS),
    }
    known = pa.table(
        [columns[f.name] if f.name in columns else picked[f.name] for f in LABEL_SCHEMA], schema=LABEL_SCHEMA
    )
    return pa.Table.from_batches(
        [with_arrival(batch, "label_time", day) for batch in known.combine_chunks().to_batches()]
    )


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, compression="zstd", compression_level=1)
