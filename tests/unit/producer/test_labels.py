"""Labels come as in life."""

from __future__ import annotations

from itertools import islice

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fraud.records.arrival import recorded_arrivals_ms
from producer.campaigns.plan import load_plan
from producer.data_generator import generate
from producer.economy import draw_economy
from producer.labels import labels_for

HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def labelled() -> pl.DataFrame:
    """100,000 transactions, half of them fraudulent, with the label that each will get, if any."""
    transactions = (
        pa.Table.from_batches(
            [
                part.transactions
                for part in islice(generate(draw_economy(1, 4_000, 400), load_plan("default"), 20_450), 14)
            ]
        )
        .combine_chunks()
        .to_batches()[0]
        .slice(0, 100_000)
    )
    is_fraud = np.arange(transactions.num_rows) % 2 == 0
    arrived_ms = recorded_arrivals_ms(transactions, "event_time")
    labels = pl.DataFrame(labels_for(transactions, arrived_ms, is_fraud, 7, 0))
    key = ["card_token", "transaction_id", "transaction_time"]  # trace numbers come again
    named = pl.DataFrame(transactions).rename({"event_time": "transaction_time"}).select(key)
    return (
        named.with_columns(is_fraud=is_fraud)
        .join(labels, on=key, how="left")
        .with_columns(delay_ms=(pl.col("label_time") - pl.col("transaction_time")).dt.total_milliseconds())
    )


def test_analysts_answer_in_hours_and_chargebacks_take_days_to_weeks(labelled: pl.DataFrame) -> None:
    analyst, chargeback = (
        labelled.filter(pl.col("source") == name)["delay_ms"].to_numpy() for name in ("disposition", "chargeback")
    )
    assert HOUR < np.median(analyst) < 12 * HOUR
    assert np.quantile(analyst, 0.99) < 2 * DAY
    assert 4 * DAY < np.median(chargeback) < 16 * DAY
    assert np.quantile(chargeback, 0.95) > 14 * DAY
    assert chargeback.min() > DAY // 2


def test_some_fraud_is_never_reported_and_a_few_labels_are_wrong(labelled: pl.DataFrame) -> None:
    fraud, good = labelled.filter("is_fraud"), labelled.filter(~pl.col("is_fraud"))
    assert fraud["verdict"].null_count() / fraud.height == pytest.approx(0.08, abs=0.01)
    assert set(fraud["verdict"].drop_nulls()) == {"fraud"}
    wrong = good.filter(pl.col("verdict") == "fraud")
    assert 0 < wrong.height / good.height < 0.001
    cleared = good.filter(pl.col("verdict") == "legitimate")
    assert set(cleared["source"]) == {"disposition"}  # a cardholder never reports that all is well
    assert 0.001 < cleared.height / good.height < 0.004
