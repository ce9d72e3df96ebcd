"""The stream of generated transactions, with ground truth and the labels that will come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraud.records.arrival import CONFIRMING, recorded_arrivals_ms, recorded_clock, with_recorded_arrivals
from fraud.records.label import LABEL_SCHEMA
from producer.campaigns.plan import CampaignPlan, fraud_of_day
from producer.columns import transaction_columns, truth_columns
from producer.economy import Economy
from producer.habits import DAY_MS, genuine_day
from producer.ids import transaction_ids
from producer.labels import labels_for
from producer.rows import Rows, concat, empty


class Generated(NamedTuple):
    """A stretch of the stream.

    Attributes:
        transactions: columns of `TRANSACTION_SCHEMA`, in the order of their recorded arrival.
        truth: columns of `producer.columns.TRUTH_SCHEMA`, same rows.
        labels: labels of earlier transactions that came due until the last of these, columns of `LABEL_SCHEMA`.
    """

    transactions: pa.RecordBatch
    truth: pa.RecordBatch
    labels: pa.RecordBatch


def generate(economy: Economy, plan: CampaignPlan, first_day: int, currency: str = "EUR") -> Iterator[Generated]:
    """Generates day after day without end; a function of its arguments.

    Args:
        economy: the population; it holds the seed.
        plan: the fraud.
        first_day: days since 1970; ids carry it, so that runs of one seed from different days share none.
        currency: the base currency.
    """
    number = 0
    run = f"t{economy.seed:x}-{first_day}"
    waiting = empty()
    coming: pa.RecordBatch = pa.RecordBatch.from_pylist([], schema=LABEL_SCHEMA)
    day = first_day
    reached_ms: int | None = None
    while True:
        genuine = genuine_day(economy, day)
        fraud = fraud_of_day(economy, plan, day, first_day, len(genuine))
        rows = _by_time(concat([waiting, genuine, fraud]))
        today = int(np.searchsorted(rows.time_ms, (day + 1) * DAY_MS))
        rows, waiting = rows.take(np.arange(today)), rows.take(np.arange(today, len(rows)))
        transactions = transaction_columns(economy, rows, day, transaction_ids(rows, day, run, number), currency)
        truth = truth_columns(transactions, rows)
        clock_ms = recorded_clock(rows.time_ms, [(day + 1) * DAY_MS] * CONFIRMING, reached_ms)
        is_fraud = truth["is_fraud"].to_numpy(zero_copy_only=False)
        new = labels_for(transactions, rows.time_ms, is_fraud, economy.seed, number)
        coming = _sorted_labels(pa.concat_batches([coming, new]))
        due = int(np.searchsorted(_label_ms(coming), (day + 1) * DAY_MS))
        yield arriving(Generated(transactions, truth, coming.slice(0, due)), clock_ms, reached_ms)
        coming = coming.slice(due)
        reached_ms = int(clock_ms[-1]) if len(clock_ms) else reached_ms
        number += len(rows)
        day += 1


def arriving(part: Generated, clock_ms: np.ndarray, reached_ms: int | None) -> Generated:
    """A stretch with its recorded arrivals: a label arrives when it is made, but not before what arrived already.

    Args:
        part: without them.
        clock_ms: the arrival of each transaction, of `fraud.records.arrival.recorded_clock`.
        reached_ms: that of the last one before them; None at the beginning.
    """
    label_ms = np.maximum(_label_ms(part.labels), 0 if reached_ms is None else reached_ms)
    return part._replace(
        transactions=with_recorded_arrivals(part.transactions, clock_ms),
        labels=with_recorded_arrivals(part.labels, label_ms),
    )


def arriving_now(part: Generated) -> Generated:
    """Without recorded arrivals: what follows the clock arrives when it arrives."""
    transactions, labels = (with_recorded_arrivals(records, None) for records in (part.transactions, part.labels))
    return part._replace(transactions=transactions, labels=labels)


def in_batches(stream: Iterator[Generated], size: int) -> Iterator[Generated]:
    """Cuts a stream into batches of so many transactions; content and order stay.

    A label goes with the first batch whose last transaction does not arrive before it; those left at the end go with
    the last batch, so none is ever yielded before it is known not to be the last.
    """
    held: list[Generated] = []
    rows = 0
    for part in stream:
        held.append(part)
        rows += part.transactions.num_rows
        if rows <= size:
            continue
        whole = _join(held)
        start = 0
        while rows - start > size:
            batch, whole_labels = cut(whole, start, size)
            whole = whole._replace(labels=whole_labels)
            yield batch
            start += size
        held = [Generated(whole.transactions.slice(start), whole.truth.slice(start), whole.labels)]
        rows -= start
    if rows:
        yield _join(held)


def in_spans(stream: Iterator[Generated], span_ms: int) -> Iterator[Generated]:
    """Cuts batches further, so that none spans more than so much of the recorded clock; for runs paced by it."""
    for part in stream:
        spans = recorded_arrivals_ms(part.transactions, "event_time") // span_ms
        starts = [0, *(np.flatnonzero(np.diff(spans)) + 1).tolist(), len(spans)]
        for start, end in itertools.pairwise(starts):
            batch, later = cut(part, start, end - start)
            last = end == len(spans)
            yield batch._replace(labels=part.labels) if last else batch
            part = part._replace(labels=later)


def cut(whole: Generated, start: int, size: int) -> tuple[Generated, pa.RecordBatch]:
    """Some of the transactions with the labels due until the last of them, and the labels due later."""
    transactions = whole.transactions.slice(start, size)
    until = recorded_arrivals_ms(transactions.slice(size - 1, 1), "event_time")[0]
    due = int(np.searchsorted(recorded_arrivals_ms(whole.labels, "label_time"), until, side="right"))
    batch = Generated(transactions, whole.truth.slice(start, size), whole.labels.slice(0, due))
    return batch, whole.labels.slice(due)


def _join(parts: list[Generated]) -> Generated:
    if len(parts) == 1:
        return parts[0]
    return Generated(
        pa.concat_batches([part.transactions for part in parts]),
        pa.concat_batches([part.truth for part in parts]),
        pa.concat_batches([part.labels for part in parts]),
    )


def _by_time(rows: Rows) -> Rows:
    return rows.take(np.argsort(rows.time_ms, kind="stable"))


def _label_ms(labels: pa.RecordBatch) -> np.ndarray:
    return np.asarray(labels["label_time"].cast(pa.int64()).to_numpy())


def _sorted_labels(labels: pa.RecordBatch) -> pa.RecordBatch:
    return labels.take(pa.array(np.argsort(_label_ms(labels), kind="stable")))
