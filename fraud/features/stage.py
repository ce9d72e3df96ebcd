"""One step of the feature path: events of one entity kind in, their features out. Card first, then merchant.

The merchant's fold knows which amounts were unusual for their cards, and never meets a duplicate, because the card's
fold came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraud.arrival import arrival_order
from fraud.features.catalogue import Entity, features_of
from fraud.features.events import Events, label_events, merge, transaction_events, transaction_values
from fraud.features.fold import EntityFold

ReadStates = Callable[[Sequence[str]], Sequence[bytes | None]]
"""The states of entities by id; None for one not seen before."""

WriteStates = Callable[[Sequence[str], Sequence[bytes]], None]
"""Keeps new states of entities."""


class Staged(NamedTuple):
    """What a step gave.

    Attributes:
        transactions: the transactions in arrival order, feature columns of the entity appended.
        duplicates: transactions that repeat one of the last 24 hours; without features.
    """

    transactions: pa.RecordBatch
    duplicates: pa.RecordBatch


def exact_column(entity: Entity) -> str:
    """Name of the column that says whether an entity's windows were whole."""
    return f"exact_{entity}"


def run_stage(
    fold: EntityFold,
    transactions: pa.RecordBatch,
    labels: pa.RecordBatch | None,
    read: ReadStates,
    write: WriteStates,
) -> Staged:
    """Folds one batch of transactions and labels of one entity kind.

    Args:
        fold: of the entity.
        transactions: arrival and transaction columns, for a merchant also `card_amount_unusual`; any order.
        labels: arrival and label columns, any order; None without any, or where the entity ignores labels.
        read: gives states.
        write: takes new states.
    """
    transactions = transactions.take(arrival_order(transactions))
    events = _events(fold.entity, transactions, labels)
    folded = fold.run(read(events.events.ids), events.events)
    write(events.events.ids, folded.states)
    values, exact = folded.values[events.rows], folded.exact[events.rows]
    duplicate = folded.duplicate[events.rows]
    kept = transactions
    if duplicate.any():
        keep = np.flatnonzero(~duplicate)
        kept, values, exact = transactions.take(pa.array(keep)), values[keep], exact[keep]
    for number, feature in enumerate(fold.features):
        kept = kept.append_column(pa.field(feature.name, pa.float64()), pa.array(values[:, number], from_pandas=True))
    kept = kept.append_column(pa.field(exact_column(fold.entity), pa.bool_()), pa.array(exact))
    return Staged(kept, transactions.take(pa.array(np.flatnonzero(duplicate))))


def with_transaction_values(transactions: pa.RecordBatch) -> pa.RecordBatch:
    """Appends the features of the transaction itself, which need no history."""
    values = transaction_values(transactions)
    for feature in features_of(Entity.TRANSACTION):
        column = pa.array(values[feature.value], pa.float64(), from_pandas=True)
        transactions = transactions.append_column(pa.field(feature.name, pa.float64()), column)
    return transactions


class _Ordered(NamedTuple):
    events: Events
    rows: np.ndarray  # for each transaction its place among the events


def _events(entity: Entity, transactions: pa.RecordBatch, labels: pa.RecordBatch | None) -> _Ordered:
    unusual = None
    if entity is Entity.MERCHANT:
        unusual = transactions["card_amount_unusual"].to_numpy(zero_copy_only=False) == 1.0
    events = transaction_events(entity, transactions, unusual)
    if labels is None or not labels.num_rows:
        return _Ordered(events, np.arange(transactions.num_rows))
    places = pa.concat_batches([_place(transactions), _place(labels)])
    order = arrival_order(places).to_numpy().astype(np.int64)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    merged = merge(events, label_events(entity, labels), order)
    return _Ordered(merged, place_of[: transactions.num_rows])


def _place(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(["arrival_ms", "stream", "shard", "sequence_number", "sub_sequence"])
