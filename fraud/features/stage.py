"""One step of the feature path: events of one entity kind in, their features out. Cards come first.

So the folds of all others know which amounts were unusual for their cards, and never meet a duplicate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraud.arrival import ARRIVAL_COLUMNS, arrival_order
from fraud.features.catalogue import EXACT_FIELDS, FEATURE_FIELDS, Entity, features_of
from fraud.features.events import Events, Floats, Ints, label_events, merge, transaction_events, transaction_values
from fraud.features.fold import EntityFold
from fraud.features.state import EntityState


class Staged(NamedTuple):
    """What a step gave.

    Attributes:
        transactions: in arrival order, feature columns of the entity appended; None where there were none.
        duplicates: transactions that repeat one of the last 24 hours; without features.
        events: what was folded, in arrival order, for those who log it.
    """

    transactions: pa.RecordBatch | None
    duplicates: pa.RecordBatch | None
    events: Events


def exact_column(entity: Entity) -> str:
    """Name of the column that says whether an entity's windows were whole."""
    return f"exact_{entity}"


def run_stage(
    fold: EntityFold, state: EntityState, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None
) -> Staged:
    """Folds one batch of transactions and labels of one entity kind.

    Args:
        fold: of the entity.
        state: is changed.
        transactions: arrival and transaction columns, for all but cards also `card_amount_robust_z`; any order.
        labels: arrival and label columns, any order; None without any, or where the entity ignores labels.
    """
    if transactions is not None:
        transactions = _in_arrival_order(transactions)
    events, rows = _events(fold.entity, transactions, labels)
    folded = fold.run(state, events)
    if transactions is None:
        return Staged(None, None, events)
    values, exact, duplicate = folded.values[rows], folded.exact[rows], folded.duplicate[rows]
    absent = events.key[rows] == 0
    kept, repeated = transactions, transactions.slice(0, 0)
    if duplicate.any():
        keep = np.flatnonzero(~duplicate)
        kept, values, exact, absent = transactions.take(pa.array(keep)), values[keep], exact[keep], absent[keep]
        repeated = transactions.take(pa.array(np.flatnonzero(duplicate)))
    names = [feature.name for feature in fold.features]
    features = _with_columns(kept, names, [values[:, number] for number in range(len(names))])
    features = features.append_column(pa.field(exact_column(fold.entity), pa.bool_()), pa.array(exact, mask=absent))
    return Staged(features, repeated, events)


def _in_arrival_order(records: pa.RecordBatch) -> pa.RecordBatch:
    """The records sorted by arrival; as they are where they lie so already, which is the rule."""
    order = arrival_order(records)
    places = order.to_numpy()
    return records if bool((places[1:] > places[:-1]).all()) else records.take(order)


def with_transaction_values(transactions: pa.RecordBatch) -> pa.RecordBatch:
    """Appends the features of the transaction itself, which need no history."""
    values = transaction_values(transactions)
    features = features_of(Entity.TRANSACTION)
    return _with_columns(transactions, [f.name for f in features], [values[f.value] for f in features])


def with_every_feature(transactions: pa.RecordBatch) -> pa.RecordBatch:
    """Appends as null whatever columns of the feature path are missing: those of entities that are switched off."""
    present = set(transactions.schema.names)
    missing = [field for field in (*FEATURE_FIELDS, *EXACT_FIELDS) if field.name not in present]
    nulls = [pa.nulls(transactions.num_rows, field.type) for field in missing]
    schema = pa.schema([*transactions.schema, *missing])
    return pa.RecordBatch.from_arrays([*transactions.columns, *nulls], schema=schema)


def _with_columns(batch: pa.RecordBatch, names: list[str], columns: list[Floats]) -> pa.RecordBatch:
    """Appends columns of numbers; NaN becomes null."""
    arrays = [pa.array(column, pa.float64(), from_pandas=True) for column in columns]
    schema = pa.schema([*batch.schema, *(pa.field(name, pa.float64()) for name in names)])
    return pa.RecordBatch.from_arrays([*batch.columns, *arrays], schema=schema)


def _events(entity: Entity, transactions: pa.RecordBatch | None, labels: pa.RecordBatch | None) -> tuple[Events, Ints]:
    """All events in arrival order, and for each transaction its place among them."""
    if transactions is None:
        assert labels is not None
        return label_events(entity, labels.take(arrival_order(labels))), np.zeros(0, np.int64)
    surprise = None
    if entity is not Entity.CARD:
        surprise = transactions["card_amount_robust_z"].to_numpy(zero_copy_only=False)
    events = transaction_events(entity, transactions, surprise)
    if labels is None or not labels.num_rows:
        return events, np.arange(transactions.num_rows)
    places = pa.concat_batches([transactions.select(ARRIVAL_COLUMNS), labels.select(ARRIVAL_COLUMNS)])
    order = np.asarray(arrival_order(places).to_numpy(), np.int64)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    return merge(events, label_events(entity, labels), order), place_of[: transactions.num_rows]
