"""The whole feature path in one process, over a table: for training, parity and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import pyarrow as pa

from fraud.features.catalogue import DAY_MS, EXACT_FIELDS, FEATURE_NAMES, Entity
from fraud.features.entities import events_kept
from fraud.features.fold import EntityFold
from fraud.features.stage import run_stage, with_every_feature, with_transaction_values
from fraud.features.state import EntityState
from fraud.settings import Job

EVENTS_KEPT = events_kept(Job())
EXPIRY_MS = Job().state_expiry_days * DAY_MS
_ROWS_AT_ONCE = 50_000


class FeaturePath:
    """Folds batches one after the other, keeping the state in memory.

    Args:
        most_events: the entities to measure, cards first, with the most events kept of one of each.
        expiry_ms: an entity without events for longer begins anew.
    """

    def __init__(self, most_events: Mapping[Entity, int] = EVENTS_KEPT, expiry_ms: int = EXPIRY_MS) -> None:
        self._folds = tuple(EntityFold(entity, most, expiry_ms) for entity, most in most_events.items())
        self.states = {fold.entity: EntityState() for fold in self._folds}

    @classmethod
    def of(cls, job: Job) -> Self:
        """The path of a job with these settings."""
        return cls(events_kept(job), job.state_expiry_days * DAY_MS)

    def run(self, transactions: pa.RecordBatch, labels: pa.RecordBatch | None = None) -> pa.RecordBatch:
        """Folds one batch.

        Args:
            transactions: arrival and transaction columns; more columns pass through.
            labels: arrival and label columns that arrived in the same batch.

        Returns:
            The transactions in arrival order with `FEATURE_FIELDS` and `EXACT_FIELDS`; duplicates left out.
        """
        batch = with_transaction_values(transactions)
        for fold in self._folds:
            batch = run_stage(fold, self.states[fold.entity], batch, labels if fold.uses_labels else None).transactions
        return with_every_feature(batch)

    def fold_labels(self, labels: pa.RecordBatch) -> None:
        """Folds a batch that has labels only."""
        for fold in self._folds:
            if fold.uses_labels:
                run_stage(fold, self.states[fold.entity], None, labels)


def compute_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    most_events: Mapping[Entity, int] = EVENTS_KEPT,
    expiry_ms: int = EXPIRY_MS,
) -> pa.Table:
    """Computes the features of a stretch of transactions from nothing.

    Where the tables have a column `batch_id`, as the archive's have, batches are folded in turn, as the job did;
    otherwise the arrival order inside the whole stretch counts.

    Args:
        transactions: arrival and transaction columns, in arrival order.
        labels: arrival and label columns, in arrival order.
        most_events: see `FeaturePath`.
        expiry_ms: see `FeaturePath`.

    Returns:
        The transactions with `FEATURE_FIELDS` and `EXACT_FIELDS`; duplicates left out.
    """
    path = FeaturePath(most_events, expiry_ms)
    return pa.Table.from_batches([path.run(*part) for part in _parts(transactions, labels)])


def feature_columns(table: pa.Table | pa.RecordBatch) -> list[str]:
    """The columns that the feature path adds, in order."""
    added = {*FEATURE_NAMES, *(field.name for field in EXACT_FIELDS)}
    return [name for name in table.schema.names if name in added]


def _parts(transactions: pa.Table, labels: pa.Table | None) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    """Cuts both tables at the same places: between batches, or else between arrival times."""
    column = "batch_id" if "batch_id" in transactions.column_names else "arrival_ms"
    at = transactions[column].to_numpy()
    label_at = labels[column].to_numpy() if labels is not None else np.zeros(0, np.int64)
    rows_at_once = 1 if column == "batch_id" else _ROWS_AT_ONCE
    start = taken = 0
    while start < len(at) or start == 0:
        last = at[min(start + rows_at_once, len(at)) - 1] if len(at) else 0
        end = int(np.searchsorted(at, last, "right"))
        until = int(np.searchsorted(label_at, last, "right")) if end < len(at) else len(label_at)
        part = transactions.slice(start, end - start)
        yield _one_batch(part), None if labels is None else _one_batch(labels.slice(taken, until - taken))
        start, taken = max(end, 1), until


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
