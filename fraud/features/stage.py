"""One step of the feature path: events of one entity kind in, their features out. Card first, then merchant.

The merchant's fold knows which amounts were unusual for their cards, and never meets a duplicate, because the card's
fold came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraud.arrival import ARRIVAL_COLUMNS, arrival_order
from fraud.features.catalogue import Entity, features_of
from fraud.features.events import Events, Ints, label_events, merge, transaction_events, transaction_values
from fraud.features.fold import EntityFold

ReadStates = Callable[[Sequence[str]], Sequence[bytes | None]]
"""The states of entities by id; None for one not seen before."""

WriteStates = Callable[[Sequence[str], Sequence[bytes]], None]
"""Keeps new states of entities."""


class Staged(NamedTuple):
    """What a step gave.

    Attributes:
        transactions: in arrival order, feature columns of the entity appended; None where there were none.
        duplicates: transactions that repeat one of the last 24 hours; without features.
    """

    transactions: pa.RecordBatch | None
    duplicates: pa.RecordBatch | None


def exact_column(entity: Entity) -> str:
    """Name of the column that says whether an entity's windows were whole."""
    return f"exact_{entity}"


def run_stage(
    fold: EntityFold,
    transactions: pa.RecordBatch | None,
    labels: pa.RecordBatch | None,
    read: ReadStates,
    write: WriteStates,
    observe: Callable[[Events], None] | None = None,
) -> Staged:
    """Folds one batch of transactions and labels of one entity kind.

    Args:
        fold: of the entity.
        transactions: arrival and transaction columns, for a merchant also `card_amount_unusual`; any order.
        labels: arrival and label columns, any order; None without any, or where the entity ignores labels.
        read: gives states.
        write: takes new states.
        observe: is told the events in arrival order, for those who log them.
    """
    if transactions is not None:
        transactions = transactions.take(arrival_order(transactions))
    events, rows = _events(fold.entity, transactions, labels)
    folded = fold.run(read(events.ids), events)
    write(events.ids, folded.states)
    if observe is not None:
        observe(events)
    if transactions is None:
        return Staged(None, None)
    values, exact = folded.values[rows], folded.exact[rows]
    duplicate = folded.duplicate[rows]
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


def _events(entity: Entity, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None) -> tuple[Events, Ints]:
    """All events in arrival order, and for each transaction its place among them."""
    if transactions is None:
        assert labels is not None
        return label_events(entity, labels.take(arrival_order(labels))), np.zeros(0, np.int64)
    unusual = None
    if entity is Entity.MERCHANT:
        unusual = transactions["card_amount_unusual"].to_numpy(zero_copy_only=False) == 1.0
    events = transaction_events(entity, transactions, unusual)
    if labels is None or not labels.num_rows:
        return events, np.arange(transactions.num_rows)
    places = pa.concat_batches([transactions.select(ARRIVAL_COLUMNS), labels.select(ARRIVAL_COLUMNS)])
    order = np.asarray(arrival_order(places).to_numpy(), np.int64)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    return merge(events, label_events(entity, labels), order), place_of[: transactions.num_rows]
