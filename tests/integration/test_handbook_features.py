"""The features against values that somebody else computed and published, for every row they published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest

from fraud.path import compute_features
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA

HANDBOOK = Path(__file__).parents[3] / "shared" / "data" / "handbook"
LABEL_DELAY_MS = 7 * 86_400_000
CONSTANTS = {
    "schema_version": 1,
    "transaction_type": "purchase",
    "authorisation_result": "approved",
    "response_code": "00",
    "bin": "000000",
    "issuer_country": "BE",
    "mcc": "5999",
    "merchant_country": "BE",
    "currency": "EUR",
    "channel": "pos",
    "entry_mode": "chip",
    "initiation": "cardholder",
    "shard": "0",
    "sub_sequence": 0,
    "source": "chargeback",
    "verdict": "fraud",
}


def as_schema(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name in frame.columns:
            columns.append(frame[field.name].to_arrow().cast(field.type))
        elif field.name in CONSTANTS:
            columns.append(pa.repeat(pa.scalar(CONSTANTS[field.name], field.type), frame.height))
        else:
            columns.append(pa.nulls(frame.height, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def recorded() -> tuple[pa.Table, pa.Table, pl.DataFrame]:
    """Transactions, labels seven days later, and the data as it is, all by time."""
    data = pl.read_parquet(HANDBOOK / "transactions.parquet").sort("TX_DATETIME", "TRANSACTION_ID")
    time = pl.col("TX_DATETIME").dt.replace_time_zone("UTC").dt.cast_time_unit("ms")
    plain = data.with_columns(
        transaction_id=pl.col("TRANSACTION_ID").cast(pl.String),
        sequence_number=pl.int_range(pl.len()).cast(pl.String),
        event_time=time,
        sent_at=time,
        arrival_ms=time.dt.epoch("ms"),
        card_token=pl.col("CUSTOMER_ID").cast(pl.String),
        customer_id=pl.col("CUSTOMER_ID").cast(pl.String),
        merchant_id=pl.col("TERMINAL_ID").cast(pl.String),
        amount_minor=(pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64),
        billing_amount_minor=(pl.col("TX_AMOUNT") * 100).round().cast(pl.Int64),
        stream=pl.lit("transactions"),
    )
    labels = plain.filter(pl.col("TX_FRAUD") == 1).with_columns(
        stream=pl.lit("labels"),
        transaction_time=time,
        label_time=time + pl.duration(milliseconds=LABEL_DELAY_MS),
        arrival_ms=pl.col("arrival_ms") + LABEL_DELAY_MS,
    )
    return (
        as_schema(plain, pa.schema([*ARRIVAL_FIELDS, *TRANSACTION_SCHEMA])),
        as_schema(labels, pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA])),
        data,
    )


@pytest.mark.skipif(not HANDBOOK.exists(), reason="needs ../shared/data/handbook")
def test_the_catalogue_reproduces_the_published_features() -> None:
    transactions, labels, data = recorded()
    published = pl.read_parquet(HANDBOOK / "published_features.parquet")
    features = pl.DataFrame(compute_features(transactions, labels)).with_columns(
        TRANSACTION_ID=pl.col("transaction_id").cast(pl.Int64)
    )
    rows = published.join(features, on="TRANSACTION_ID").join(
        data.select("TRANSACTION_ID", "TX_AMOUNT"), on="TRANSACTION_ID"
    )
    assert rows.height == 469_359

    def column(name: str, undefined: float = 0.0) -> npt.NDArray[np.float64]:
        return rows[name].cast(pl.Float64).fill_null(undefined).to_numpy()

    amount = column("TX_AMOUNT")
    ours = {"TX_DURING_WEEKEND": column("tx_is_weekend"), "TX_DURING_NIGHT": column("tx_is_night")}
    for theirs, window in (("1DAY", "24h"), ("7DAY", "7d"), ("30DAY", "30d")):
        # Their windows hold the transaction itself, ours do not.
        count, mean = column(f"card_count_{window}"), column(f"card_mean_{window}")
        ours[f"CUSTOMER_ID_NB_TX_{theirs}_WINDOW"] = count + 1
        ours[f"CUSTOMER_ID_AVG_AMOUNT_{theirs}_WINDOW"] = (count * mean + amount) / (count + 1)
        ours[f"TERMINAL_ID_NB_TX_{theirs}_WINDOW"] = column(f"merchant_matured_count_{window}")
        ours[f"TERMINAL_ID_RISK_{theirs}_WINDOW"] = column(f"merchant_fraud_rate_{window}")
    assert set(ours) == set(published.columns) - {"TRANSACTION_ID"}
    # 30 of their purchases were rounded to 0.00: for us these are account checks, which no window counts.
    of_nothing = data.filter(pl.col("TX_AMOUNT") == 0)
    assert of_nothing.height == 30
    places = rows.join(data.select("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID"), on="TRANSACTION_ID", how="left")
    for name, values in ours.items():
        entity = "TERMINAL_ID" if name.startswith("TERMINAL_ID") else "CUSTOMER_ID"
        same = ~places[entity].is_in(of_nothing[entity].implode()).to_numpy()
        assert same.mean() > 0.99
        np.testing.assert_allclose(values[same], column(name)[same], rtol=0, atol=1e-9, err_msg=name)
