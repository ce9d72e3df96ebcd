"""The path of records through the features: one entity's step, and all steps. It is written here and nowhere else.

Who comes first, which steps take labels, who is next, what a duplicate becomes and what the features of an absent
entity are follow from these two classes. The job, backfill, offline recomputation, parity, training and the check of
chaos runs carry records to them and store what they give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fraud.entities import TRANSACTION, Entity, entity_after, measured
from fraud.features import columns, row
from fraud.features.catalogue import DAY_MS, Catalogue, Feature, catalogue_of
from fraud.features.events import NO_EVENTS, Events, transaction_values
from fraud.features.fold import EntityFold, read_labels
from fraud.features.state import EntityState
from fraud.features.waiting import Change
from fraud.records import Records, Row
from fraud.records.dead_letter import Reason, Reject
from fraud.settings import Settings

DUPLICATE = Reject(
    0, Reason.DUPLICATE, "transaction_id", "the transaction id was decided for this card within 24 hours"
)
"""What becomes of a transaction whose id the card has had."""

_CONFLICTING = Reject(
    0,
    Reason.CONFLICTING_ANSWER,
    "answer",
    "another record of the payment was first on the stream and was decided; this answer was given too",
)
_ROWS_AT_ONCE = 50_000


class Advanced(NamedTuple):
    """What a step gave.

    Attributes:
        records: in arrival order, the transactions with the entity's features.
        events: what was folded into the state, for those who log it.
        waiting: how the labels that wait beside it changed, likewise.
    """

    records: Records
    events: Events
    waiting: Change


class Step:
    """One entity's step of the path.

    Args:
        entity: one of `job.entities`.
        settings: of the query.
        features: the entries to compute: of the entity, and in the first step of the transaction itself; by default
            those of the catalogue.

    Attributes:
        entity: whose step it is.
        fold: what its events are folded with.
        next: the entity whose step follows; None after the last.
    """

    def __init__(self, entity: Entity, settings: Settings, features: Sequence[Feature] | None = None) -> None:
        own = (TRANSACTION,) if entity.leads else ()  # these need no state
        catalogue = catalogue_of(settings)
        computed = catalogue.features_of(*own, entity) if features is None else features
        self.entity = entity
        self._base_currency = settings.money.base_currency
        self.fold = EntityFold(
            entity,
            measured(settings.job)[entity],
            settings.job.state_expiry_days * DAY_MS,
            settings.money.base_currency,
            [feature for feature in computed if feature.entity == entity],
        )
        self._own = [feature for feature in computed if feature.entity == TRANSACTION]
        self._own_names = [feature.name for feature in self._own]
        self.next = entity_after(entity, settings.job)
        self._names = [feature.name for feature in self.fold.features]
        self._absent = dict.fromkeys([*self._names, entity.exact_column])  # of a transaction without the entity
        self._reads_labels = read_labels(self.fold.features)
        # Of several entities that read labels, the first says what became of each.
        readers = (other for other in measured(settings.job) if read_labels(catalogue.features_of(other)))
        self._answers = next(readers, None) == entity
        self._most_waiting = settings.job.waiting_labels

    def concerns(self, records: Records) -> bool:
        """Whether any of the records reads or changes the entity's state."""
        return records.transactions is not None or (self._reads_labels and records.labels is not None)

    def advance(self, state: EntityState, records: Records) -> Advanced:
        """Folds records, in any order, into the entity's state.

        Args:
            state: is changed.
            records: that concern the step; for all but the first step as the one before gave them.
        """
        form = _form_of(records.labels if records.transactions is None else records.transactions)
        labels = records.labels if self._reads_labels else None
        transactions, events = records.transactions, NO_EVENTS
        if transactions is not None:
            transactions = form.in_arrival_order(transactions)
            facts = form.facts_of(transactions)
            if self._own:
                values = transaction_values(facts, self._base_currency)
                own = [values[feature.value] for feature in self._own]
                transactions = form.with_values(transactions, self._own_names, own)
            if labels is None and not len(state.waiting) and form.lacks(transactions, self.entity):
                transactions.update(self._absent)
                return Advanced(records._replace(transactions=transactions), NO_EVENTS, state.waiting.take_change())
            events = form.events_of(self.entity, transactions, facts)
        added = [] if labels is None else form.waiting_labels(self.entity, labels)
        turn = state.waiting.turn(
            added, events, lambda: form.places_in_order(transactions), state.arrival_ms, self.fold.retention_ms
        )
        folded = self.fold.run(state, turn.events)
        settled = state.waiting.settle(turn, folded.labelled, len(added), self._most_waiting)
        notes, dead_letters = records.notes, records.dead_letters
        if transactions is not None:
            transactions, repeated, conflicting = form.with_features(
                transactions, self._names, self.entity.exact_column, folded, turn.events, turn.places
            )
            if repeated is not None:
                rejects = [_CONFLICTING if differs else DUPLICATE for differs in conflicting]
                dead_letters = form.refused(repeated, rejects, dead_letters)
        if self._answers:
            notes = form.noted(notes, settled.notes)
            if settled.refused:
                dead_letters = form.unmatched(settled.refused, dead_letters)
        advanced = Records(transactions, records.labels, dead_letters, notes, records.sizes)
        return Advanced(advanced, turn.events, state.waiting.take_change())


class FeaturePath:
    """All steps, one after the other.

    Args:
        settings: of the query; the defaults where they are None.
        carry: takes records through one step; by default with the whole state of each entity in memory.

    Attributes:
        catalogue: of the features that it gives.
        steps: in the order in which records take them.
        states: by entity, what the default way of carrying folds into.
    """

    def __init__(
        self, settings: Settings | None = None, carry: Callable[[Step, Records], Records] | None = None
    ) -> None:
        settings = settings or Settings()
        self.catalogue = catalogue_of(settings)
        self.steps = tuple(Step(entity, settings) for entity in measured(settings.job))
        self.states = {step.entity: EntityState() for step in self.steps}
        self._carry = carry or self._in_memory

    def advance(self, records: Records) -> Records:
        """Takes a batch, or a single record, through all steps.

        Args:
            records: arrival and transaction columns, labels that arrived in the same batch; more columns pass through.

        Returns:
            The records, transactions in arrival order with the columns of the catalogue: null for an entity that is
            switched off or that the transaction lacks. Duplicates are dead letters.
        """
        single = isinstance(records.transactions, Row)
        if single:
            records = records._replace(transactions=with_every_feature(records.transactions, self.catalogue))
        for step in self.steps:
            if step.concerns(records):
                records = self._carry(step, records)
        if single or records.transactions is None:
            return records
        return records._replace(transactions=with_every_feature(records.transactions, self.catalogue))

    def featured(self, transactions: pa.RecordBatch, labels: pa.RecordBatch | None = None) -> pa.RecordBatch:
        """The transactions of a batch with their features, for callers that have no use for duplicates."""
        return self.advance(Records(transactions, labels)).transactions

    def _in_memory(self, step: Step, records: Records) -> Records:
        return step.advance(self.states[step.entity], records).records


def with_every_feature(transactions: pa.RecordBatch, catalogue: Catalogue) -> pa.RecordBatch:
    """Transactions after the last step: the features of entities that are switched off are null.

    A single one has all features before the first step, null where none fills them in.
    """
    return _form_of(transactions).with_every_feature(transactions, catalogue)


def _form_of(part: pa.RecordBatch) -> Any:
    """The module that reads and extends records of this form: `fraud.features.columns` or `fraud.features.row`."""
    return row if isinstance(part, Row) else columns


def compute_features(
    transactions: pa.Table, labels: pa.Table | None = None, settings: Settings | None = None
) -> pa.Table:
    """Computes the features of a stretch of transactions from nothing.

    Where the tables have a column `batch_id`, as the archive's have, batches are folded in turn, as the job did;
    otherwise the arrival order inside the whole stretch counts.

    Args:
        transactions: arrival and transaction columns, in arrival order.
        labels: arrival and label columns, in arrival order.
        settings: of the query; the defaults where they are None.

    Returns:
        The transactions with the columns of the catalogue; duplicates left out.
    """
    path = FeaturePath(settings)
    return pa.Table.from_batches([path.featured(*part) for part in _parts(transactions, labels)])


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
        part = _one_batch(transactions.slice(start, end - start))
        yield part, None if labels is None else _one_batch(labels.slice(taken, until - taken))
        start, taken = max(end, 1), until


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
