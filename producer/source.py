"""The transactions of a run: generated or recorded, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.recorded import Mapping, load_mapping, read_recorded
from producer.attack import attack
from producer.campaigns.plan import load_plan
from producer.columns import TRUTH_SCHEMA
from producer.config import ProducerConfig
from producer.data_generator import Generated, cut, generate, in_batches, in_spans
from producer.economy import draw_economy
from producer.labels import build_labels

_SPAN_MS = 200
"""Wall-clock time that a batch of a run paced by event time may span."""


def open_source(config: ProducerConfig, currency: str, from_ms: int | None = None) -> Iterator[Generated]:
    """The stream that the flags ask for, `skip`, `days` and `num_transactions` applied.

    Args:
        config: the flags.
        currency: the base currency.
        from_ms: leaves out generated transactions of earlier event time; None keeps all.

    Raises:
        MisconfiguredError: plan, mapping or file is at fault.
    """
    if config.attack is not None:
        economy = draw_economy(config.seed, config.cards, config.merchants)
        stream: Iterator[Generated] = attack(economy, config.attack, config.cases, config.start_ms, currency)
    elif config.replay is None:
        plan = load_plan(config.campaigns)
        economy = draw_economy(config.seed, config.cards, config.merchants)
        stream = islice(generate(economy, plan, config.first_day, currency), config.days)
        if from_ms is not None:
            stream = _since(stream, from_ms)
    else:
        assert config.mapping is not None
        until = config.skip + config.num_transactions if config.num_transactions else None
        stream = recorded_stream(config.replay, load_mapping(config.mapping), until)
    batches = in_batches(_without_first(stream, config.skip), config.batch_size)
    if config.live or config.speed is not None:
        batches = in_spans(batches, max(1, round(_SPAN_MS * (config.speed or 1.0))))
    return _limited(batches, config.num_transactions)


def recorded_stream(file: Path, mapping: Mapping, rows: int | None) -> Iterator[Generated]:
    """A recording as a stream, its labels due when the mapping says."""
    waiting: pa.RecordBatch | None = None
    for recorded in read_recorded(file, mapping, rows):
        n = recorded.transactions.num_rows
        is_fraud = pa.compute.fill_null(recorded.is_fraud, False)
        truth = pa.RecordBatch.from_arrays(
            [recorded.transactions["transaction_id"], is_fraud, pa.nulls(n, pa.string()), pa.nulls(n, pa.string())],
            schema=TRUTH_SCHEMA,
        )
        marked = is_fraud.to_numpy(zero_copy_only=False)
        labels = build_labels(
            recorded.transactions,
            np.flatnonzero(marked),
            marked,
            np.full(n, "chargeback"),
            recorded.label_ms.to_numpy(),
        )
        waiting = labels if waiting is None else pa.concat_batches([waiting, labels])
        last_ms = recorded.transactions["event_time"][n - 1].cast(pa.int64()).as_py()
        label_ms = waiting["label_time"].cast(pa.int64()).to_numpy()
        due = int(np.searchsorted(label_ms, last_ms, side="right"))
        yield Generated(recorded.transactions, truth, waiting.slice(0, due))
        waiting = waiting.slice(due)


def _since(stream: Iterator[Generated], from_ms: int) -> Iterator[Generated]:
    for part in stream:
        later = int(np.searchsorted(part.transactions["event_time"].cast(pa.int64()).to_numpy(), from_ms))
        if later < part.transactions.num_rows:
            yield Generated(part.transactions.slice(later), part.truth.slice(later), part.labels)


def _without_first(stream: Iterator[Generated], count: int) -> Iterator[Generated]:
    """All behind so many transactions and the labels due until then: what a run of that length has sent."""
    left = count
    for part in stream:
        n = part.transactions.num_rows
        if left == 0:
            yield part
        elif left < n:
            _, later = cut(part, 0, left)
            yield Generated(part.transactions.slice(left), part.truth.slice(left), later)
        left = max(0, left - n)


def _limited(stream: Iterator[Generated], count: int) -> Iterator[Generated]:
    """The first so many transactions; 0 for all."""
    left = count
    for part in stream:
        if count and part.transactions.num_rows >= left:
            yield cut(part, 0, left)[0]
            return
        yield part
        left -= part.transactions.num_rows
