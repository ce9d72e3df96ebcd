"""The whole feature path in one process, over a table: for training, parity and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from fraud.features.catalogue import FEATURE_NAMES, Entity
from fraud.features.fold import EntityFold
from fraud.features.stage import exact_column, run_stage, with_transaction_values

CARD_EVENTS = 1_024
MERCHANT_EVENTS = 16_384
_ROWS_AT_ONCE = 50_000


class FeaturePath:
    """Folds batches one after the other, keeping the states in memory.

    Args:
        card_events: events kept of a card (`job.card_events`).
        merchant_events: events kept of a merchant (`job.merchant_events`).
    """

    def __init__(self, card_events: int = CARD_EVENTS, merchant_events: int = MERCHANT_EVENTS) -> None:
        self._card = EntityFold(Entity.CARD, card_events)
        self._merchant = EntityFold(Entity.MERCHANT, merchant_events)
        self._states: dict[Entity, dict[str, bytes]] = {Entity.CARD: {}, Entity.MERCHANT: {}}

    def run(self, transactions: pa.RecordBatch, labels: pa.RecordBatch | None = None) -> pa.RecordBatch:
        """Folds one batch.

        Args:
            transactions: arrival and transaction columns; more columns pass through.
            labels: arrival and label columns that arrived in the same batch.

        Returns:
            The transactions in arrival order with all feature columns and `exact_card`, `exact_merchant`; duplicates
            left out.
        """
        carded = self._stage(self._card, with_transaction_values(transactions), None)
        return self._stage(self._merchant, carded, labels)

    def _stage(self, fold: EntityFold, batch: pa.RecordBatch, labels: pa.RecordBatch | None) -> pa.RecordBatch:
        kept = self._states[fold.entity]

        def read(ids: Sequence[str]) -> list[bytes | None]:
            return [kept.get(known) for known in ids]

        def write(ids: Sequence[str], states: Sequence[bytes]) -> None:
            kept.update(zip(ids, states, strict=True))

        staged = run_stage(fold, batch, labels, read, write).transactions
        assert staged is not None
        return staged


def compute_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    card_events: int = CARD_EVENTS,
    merchant_events: int = MERCHANT_EVENTS,
) -> pa.Table:
    """Computes the features of a stretch of transactions from nothing.

    Args:
        transactions: arrival and transaction columns, in arrival order.
        labels: arrival and label columns, in arrival order.
        card_events: events kept of a card.
        merchant_events: events kept of a merchant.

    Returns:
        The transactions with `FEATURE_FIELDS` and `exact_card`, `exact_merchant`; duplicates left out.
    """
    path = FeaturePath(card_events, merchant_events)
    return pa.Table.from_batches([path.run(*part) for part in _parts(transactions, labels)])


def feature_columns(table: pa.Table | pa.RecordBatch) -> list[str]:
    """The columns that the feature path adds, in order."""
    added = {*FEATURE_NAMES, exact_column(Entity.CARD), exact_column(Entity.MERCHANT)}
    return [name for name in table.schema.names if name in added]


def _parts(transactions: pa.Table, labels: pa.Table | None) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    """Cuts both tables at the same arrival times."""
    taken = 0
    for start in range(0, transactions.num_rows, _ROWS_AT_ONCE):
        part = transactions.slice(start, _ROWS_AT_ONCE)
        until = start + _ROWS_AT_ONCE
        if labels is None:
            yield _one_batch(part), None
            continue
        end = labels.num_rows
        if until < transactions.num_rows:
            boundary = transactions["arrival_ms"][until].as_py()
            end = taken + pa.compute.sum(pa.compute.less(labels["arrival_ms"].slice(taken), boundary)).as_py()
        yield _one_batch(part), _one_batch(labels.slice(taken, end - taken))
        taken = end


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
