"""The transactions of a run: generated or recorded, cut into batches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.recordings.bad_rows import OnBadRow
from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import Recorded, RecordingReader, warn_of
from fraud.records.arrival import CONFIRMING, recorded_arrivals_ms, recorded_clock
from fraud.records.schema import milliseconds
from producer.attack import attack
from producer.campaigns.plan import load_plan
from producer.columns import truth_of
from producer.config import ProducerConfig
from producer.data_generator import Generated, arriving, cut, generate, in_batches, in_spans
from producer.economy import draw_economy
from producer.labels import build_labels

_SPAN_MS = 200
"""Wall-clock time that a batch of a run paced by event time may span."""


def open_source(config: ProducerConfig, currency: str, from_ms: int | None = None) -> Iterator[Generated]:
    """The stream that the flags ask for, `skip`, `days` and `num_transactions` applied.

    Args:
        config: the flags.
        currency: the base currency.
        from_ms: leaves out generated transactions that arrive earlier; None keeps all.

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
        mapping = load_mapping(config.mapping)
        reader = RecordingReader(config.replay, mapping, currency, config.on_bad_row, config.bad_rows)
        stream = recorded_stream(reader, until)
    batches = in_batches(_without_first(stream, config.skip), config.batch_size)
    if config.live or config.speed is not None:
        batches = in_spans(batches, max(1, round(_SPAN_MS * (config.speed or 1.0))))
    return _limited(batches, config.num_transactions)


def open_recorded(
    file: Path,
    mapping: str,
    currency: str,
    label_delay_days: float | None = None,
    until_ms: int | None = None,
    on_bad_row: OnBadRow = OnBadRow.FAIL,
) -> Iterator[Generated]:
    """A recording as a stream, for those who learn from it or measure on it.

    Args:
        file: a file, a folder or a pattern.
        mapping: a name in `config/mappings` or a file.
        currency: the base currency.
        label_delay_days: how long after its transaction a label becomes known, instead of what the mapping says.
        until_ms: leaves out transactions from this event time on, and what became known from then on.
        on_bad_row: what becomes of rows that cannot be read.

    Raises:
        MisconfiguredError: mapping or file is at fault.
    """
    known = load_mapping(mapping)
    if label_delay_days is not None and known.label is not None:
        known = known.model_copy(update={"label": known.label.model_copy(update={"delay_days": label_delay_days})})
    stream = recorded_stream(RecordingReader(file, known, currency, on_bad_row))
    return stream if until_ms is None else _before(stream, until_ms)


def recorded_stream(reader: RecordingReader, rows: int | None = None) -> Iterator[Generated]:
    """A recording as a stream, its labels due when the mapping says; what looks wrong about it is said at once."""
    waiting: pa.RecordBatch | None = None
    reached_ms: int | None = None
    for recorded, following in pairwise(chain(reader.read(rows), [None])):
        assert recorded is not None
        if waiting is None:
            warn_of(reader, _say)
        n = recorded.transactions.num_rows
        is_fraud = pa.compute.fill_null(recorded.is_fraud, False)
        unknown = pa.nulls(n, pa.string())
        truth = truth_of(recorded.transactions, is_fraud, unknown, unknown)
        marked = is_fraud.to_numpy(zero_copy_only=False)
        labels = build_labels(
            recorded.transactions,
            np.flatnonzero(marked),
            marked,
            np.full(n, "chargeback"),
            recorded.label_ms.to_numpy(),
        )
        waiting = labels if waiting is None else pa.concat_batches([waiting, labels])
        later = [] if following is None else _times_ms(following)[:CONFIRMING].tolist()
        clock_ms = recorded_clock(_times_ms(recorded), later, reached_ms)
        label_ms = waiting["label_time"].cast(pa.int64()).to_numpy()
        due = int(np.searchsorted(label_ms, clock_ms[-1], side="right"))
        yield arriving(Generated(recorded.transactions, truth, waiting.slice(0, due)), clock_ms, reached_ms)
        waiting, reached_ms = waiting.slice(due), int(clock_ms[-1])


def _times_ms(recorded: Recorded) -> npt.NDArray[np.int64]:
    return milliseconds(recorded.transactions["event_time"])


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _before(stream: Iterator[Generated], until_ms: int) -> Iterator[Generated]:
    for part in stream:
        times = part.transactions["event_time"].cast(pa.int64()).to_numpy()
        count = int(np.searchsorted(times, until_ms))
        known = int(np.searchsorted(part.labels["label_time"].cast(pa.int64()).to_numpy(), until_ms))
        if count:
            yield Generated(part.transactions.slice(0, count), part.truth.slice(0, count), part.labels.slice(0, known))
        if count < len(times):
            return


def _since(stream: Iterator[Generated], from_ms: int) -> Iterator[Generated]:
    for part in stream:
        later = int(np.searchsorted(recorded_arrivals_ms(part.transactions, "event_time"), from_ms))
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
