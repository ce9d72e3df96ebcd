"""The whole feature path in one process, over a table: for training, parity and tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fraud.features.catalogue import DAY_MS, FEATURE_NAMES, Entity
from fraud.features.fold import EntityFold
from fraud.features.stage import exact_column, run_stage, with_transaction_values
from fraud.features.state import EntityState

CARD_EVENTS = 1_024
MERCHANT_EVENTS = 16_384
EXPIRY_MS = 400 * DAY_MS
_ROWS_AT_ONCE = 50_000


class FeaturePath:
    """Folds batches one after the other, keeping the state in memory.

    Args:
        card_events: events kept of a card (`job.card_events`).
        merchant_events: events kept of a merchant (`job.merchant_events`).
        expiry_ms: an entity without events for longer begins anew (`job.state_expiry_days`).
    """

    def __init__(
        self, card_events: int = CARD_EVENTS, merchant_events: int = MERCHANT_EVENTS, expiry_ms: int = EXPIRY_MS
    ) -> None:
        self._folds = (
            EntityFold(Entity.CARD, card_events, expiry_ms),
            EntityFold(Entity.MERCHANT, merchant_events, expiry_ms),
        )
        self.states = {fold.entity: EntityState() for fold in self._folds}

    def run(self, transactions: pa.RecordBatch, labels: pa.RecordBatch | None = None) -> pa.RecordBatch:
        """Folds one batch.

        Args:
            transactions: arrival and transaction columns; more columns pass through.
            labels: arrival and label columns that arrived in the same batch.

        Returns:
            The transactions in arrival order with all feature columns and `exact_card`, `exact_merchant`; duplicates
            left out.
        """
        batch = with_transaction_values(transactions)
        for fold in self._folds:
            batch = run_stage(fold, self.states[fold.entity], batch, labels if fold.uses_labels else None).transactions
        return batch

    def fold_labels(self, labels: pa.RecordBatch) -> None:
        """Folds a batch that has labels only."""
        for fold in self._folds:
            if fold.uses_labels:
                run_stage(fold, self.states[fold.entity], None, labels)


def compute_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    card_events: int = CARD_EVENTS,
    merchant_events: int = MERCHANT_EVENTS,
    expiry_ms: int = EXPIRY_MS,
) -> pa.Table:
    """Computes the features of a stretch of transactions from nothing.

    Where the tables have a column `batch_id`, as the archive's have, batches are folded in turn, as the job did;
    otherwise the arrival order inside the whole stretch counts.

    Args:
        transactions: arrival and transaction columns, in arrival order.
        labels: arrival and label columns, in arrival order.
        card_events: events kept of a card.
        merchant_events: events kept of a merchant.
        expiry_ms: an entity without events for longer begins anew.

    Returns:
        The transactions with `FEATURE_FIELDS` and `exact_card`, `exact_merchant`; duplicates left out.
    """
    path = FeaturePath(card_events, merchant_events, expiry_ms)
    return pa.Table.from_batches([path.run(*part) for part in _parts(transactions, labels)])


def feature_columns(table: pa.Table | pa.RecordBatch) -> list[str]:
    """The columns that the feature path adds, in order."""
    added = {*FEATURE_NAMES, exact_column(Entity.CARD), exact_column(Entity.MERCHANT)}
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
