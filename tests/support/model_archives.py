"""Archives of decisions over the real catalogue, with features drawn at will, for tests of drift and of the gate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision.record import VERDICT_FIELDS
from fraud.features import FEATURE_FIELDS, FEATURE_NAMES
from fraud.records.schema import TIMESTAMP_MS
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.decision_archives import labels_for, write_archive
from tests.support.records import transaction

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SCHEMA = pa.schema([*TRANSACTION_SCHEMA, *FEATURE_FIELDS, *VERDICT_FIELDS])


def drawn_features(rows: int, fraud: npt.NDArray[np.bool_], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Noise, but for two features: `tx_amount` predicts fraud well, `card_count_1h` a little."""
    features = {field.name: pa.array(rng.normal(0, 1, rows)).cast(field.type) for field in FEATURE_FIELDS}
    features["tx_amount"] = pa.array(rng.normal(0, 1, rows) + 3 * fraud)
    features["card_count_1h"] = pa.array(rng.normal(0, 1, rows) + 1 * fraud)
    return features


def write_model_archive(
    folder: Path, days: int, per_day: int = 200, fraud_share: float = 0.05, shifted_from_day: int | None = None
) -> None:
    """Writes an archive in which a twentieth is fraud, labelled two days later.

    From `shifted_from_day` on, `merchant_count_24h` lies two standard deviations higher.
    """
    rng = np.random.default_rng(5)
    rows = days * per_day
    fraud = rng.random(rows) < fraud_share
    features = drawn_features(rows, fraud, rng)
    day = np.arange(rows) // per_day
    if shifted_from_day is not None:
        moved = features["merchant_count_24h"].to_numpy() + 2.0 * (day >= shifted_from_day)
        features["merchant_count_24h"] = pa.array(moved)
    event_ms = round(BEGIN.timestamp() * 1000) + np.arange(rows) * (86_400_000 // per_day)
    own = {
        "transaction_id": pa.array([f"t-{number}" for number in range(rows)]),
        "card_token": pa.array([f"card-{number % 500}" for number in range(rows)]),
        "event_time": pa.array(event_ms).cast(TIMESTAMP_MS),
        "billing_amount_minor": pa.array(rng.integers(1_000, 50_000, rows)),
        "outcome": pa.array(np.where(rng.random(rows) < 0.02, "review", "approve")),
    }
    plain = transaction()
    columns = []
    for field in SCHEMA:
        if field.name in own:
            columns.append(own[field.name].cast(field.type))
        elif field.name in FEATURE_NAMES:
            columns.append(features[field.name].cast(field.type))
        elif pa.types.is_list(field.type):
            columns.append(pa.array([[]] * rows, field.type))
        elif field.name in plain:
            columns.append(pa.repeat(pa.scalar(plain[field.name], field.type), rows))
        else:
            columns.append(pa.nulls(rows, field.type))
    decisions = pa.Table.from_arrays(columns, schema=pa.schema([field.with_nullable(True) for field in SCHEMA]))
    write_archive(folder, decisions, labels_for(decisions, np.flatnonzero(fraud).tolist()))
