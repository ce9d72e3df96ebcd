"""Labels as they come in life: dispositions in hours, chargebacks in days to weeks, some never, a few wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fraud.records.label import LABEL_SCHEMA
from fraud.records.schema import TIMESTAMP_MS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_NEVER = 0.08  # of fraud is never reported
_BY_DISPOSITION = 0.35  # of reported fraud is found by an analyst before the cardholder complains
_WRONG = 0.0002  # of good transactions are reported as fraud all the same
_CLEARED = 0.002  # of good transactions are looked at by an analyst and found good


def labels_for(
    transactions: pa.RecordBatch, arrived_ms: np.ndarray, is_fraud: np.ndarray, seed: int, first_number: int
) -> pa.RecordBatch:
    """The labels that these transactions will get, columns of `LABEL_SCHEMA`, by label time.

    Args:
        transactions: columns of `TRANSACTION_SCHEMA`.
        arrived_ms: when each reached the stream: nobody looks at it before.
        is_fraud: ground truth of each.
        seed: of the run.
        first_number: of the first transaction, so that labels do not depend on how a run is cut.
    """
    n = transactions.num_rows
    dice = _dice(seed, first_number, n)
    reported = np.where(is_fraud, dice[:, 0] >= _NEVER, dice[:, 0] < _WRONG + _CLEARED)
    cleared = ~is_fraud & (dice[:, 0] >= _WRONG)
    by_analyst = np.where(is_fraud, dice[:, 1] < _BY_DISPOSITION, cleared)
    hours = 0.5 - 6.0 * np.log(dice[:, 2])
    days = np.exp(np.log(8.0) + 0.7 * (dice[:, 2] + dice[:, 3] + dice[:, 1] - 1.5) * 2)
    delay_ms = np.where(by_analyst, hours * HOUR_MS, days * DAY_MS).astype(np.int64)
    time_ms = np.maximum(transactions["event_time"].cast(pa.int64()).to_numpy(), arrived_ms)
    return build_labels(
        transactions,
        np.flatnonzero(reported),
        ~cleared,
        np.where(by_analyst, "disposition", "chargeback"),
        time_ms + delay_ms,
    )


def build_labels(
    transactions: pa.RecordBatch, which: np.ndarray, is_fraud: np.ndarray, source: np.ndarray, label_ms: np.ndarray
) -> pa.RecordBatch:
    """Labels of some transactions, sorted by label time; the arrays have a value for every transaction."""
    which = which[np.argsort(label_ms[which], kind="stable")]
    labelled = transactions.take(pa.array(which))
    columns = {name: labelled[name] for name in ("schema_version", "transaction_id", "card_token", "merchant_id")}
    columns |= {name: labelled[name] for name in ("terminal_id", "billing_amount_minor")}
    columns["transaction_time"] = labelled["event_time"]
    columns["verdict"] = pa.array(np.where(is_fraud[which], "fraud", "legitimate"), pa.string())
    columns["source"] = pa.array(source[which], pa.string())
    columns["label_time"] = pa.array(label_ms[which], pa.int64()).cast(TIMESTAMP_MS)
    columns["transaction_time_precision_ms"] = pa.nulls(len(which), pa.int64())
    columns["recorded_arrival"] = pa.nulls(len(which), TIMESTAMP_MS)  # known when it is sent
    return pa.RecordBatch.from_arrays([columns[field.name] for field in LABEL_SCHEMA], schema=LABEL_SCHEMA)


def _dice(seed: int, first: int, count: int) -> np.ndarray:
    """Four uniform numbers for each transaction, a function of seed and number."""
    bits = np.random.Philox(key=[seed, 4])
    bits.advance(first)  # a step of Philox gives four 64-bit numbers
    return np.maximum(np.random.Generator(bits).random((count, 4)), 1e-12)
