"""The stateful processors of Spark: thin shells around `advance_group`.

What folds is imported where it is used: to plan a query, Spark loads each processor in a process of its own, one after
the other, which only declares the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from fraud.dead_letter import Reason, Reject
from fraud.features.catalogue import Entity
from fraud.settings import Settings
from processor.envelope import ROW_SCHEMA, Kind, Parts, collect, onward
from processor.worker import freeze_imports

if TYPE_CHECKING:
    import pandas as pd

    from fraud.features.fold import EntityFold

_COLUMNS = list(ROW_SCHEMA.names)


class EntityProcessor(StatefulProcessor):
    """Folds the key groups of one entity kind; takes and gives rows of `processor.envelope.ROWS`.

    Args:
        entity: one of `job.entities`.
        settings: of the job.
        prime_id: of the state that the query begins with; None for none.
    """

    def __init__(self, entity: Entity, settings: Settings, prime_id: str | None = None) -> None:
        self._entity = entity
        self._settings = settings
        self._prime_id = prime_id

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declares the state: a log of changes and its head."""
        freeze_imports()
        self._log = handle.getListState("log", "entry binary")
        self._head = handle.getValueState("head", "head binary")

    def fold(self) -> EntityFold:
        """What the events are folded with."""
        from fraud.features.entities import entity_fold

        return entity_fold(self._entity, self._settings.job)

    def prepare(self, transactions: pa.RecordBatch) -> pa.RecordBatch:
        """What is passed on with the transactions besides the features of this entity: with cards, their own values."""
        from fraud.features.stage import with_transaction_values

        return with_transaction_values(transactions) if self._entity is Entity.CARD else transactions

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: tuple[Any, ...],
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: N803, ARG002 - Spark's name
    ) -> Iterator[pd.DataFrame]:
        """Folds one key group's rows of a batch."""
        import pandas as pd

        pairs = (
            (kind, payload) for frame in rows for kind, payload in zip(frame["kind"], frame["payload"], strict=True)
        )
        emitted = list(self._advance(int(key[0]), collect(pairs)))
        yield pd.DataFrame.from_records(emitted, columns=_COLUMNS).astype({"key_group": "int32"})

    def close(self) -> None:
        """Nothing to release: the local copy serves the worker's next tasks."""

    def _advance(self, group: int, parts: Parts) -> Iterator[tuple[int, str, bytes]]:
        fold = self.fold()
        if Kind.TRANSACTIONS in parts or (fold.uses_labels and Kind.LABELS in parts):
            yield from self._fold(group, fold, parts)
        for kind in (Kind.LABELS, Kind.DEAD_LETTERS):
            if kind in parts:
                yield from self._onward(group, kind, parts[kind])

    def _fold(self, group: int, fold: EntityFold, parts: Parts) -> Iterator[tuple[int, str, bytes]]:
        from processor.keyed_state.group import advance_group
        from processor.keyed_state.log import EMPTY, Head

        job = self._settings.job
        stored = self._head.get()
        transactions = parts.get(Kind.TRANSACTIONS)
        change = advance_group(
            Path(job.state_folder) / job.query / self._entity / str(group),
            fold,
            Head.from_bytes(bytes(stored[0])) if stored is not None else EMPTY,
            lambda: (bytes(entry[0]) for entry in self._log.get()),
            None if transactions is None else self.prepare(transactions),
            parts.get(Kind.LABELS) if fold.uses_labels else None,
            primed=lambda: self._primed_entries(group),
        )
        if change.compacted:
            self._log.put([(entry,) for entry in change.entries])
        else:
            self._log.appendList([(entry,) for entry in change.entries])
        self._head.update((change.head.to_bytes(),))
        if change.staged.transactions is not None:
            yield from self._onward(group, Kind.TRANSACTIONS, change.staged.transactions)
        duplicates = change.staged.duplicates
        if duplicates is not None and duplicates.num_rows:
            yield from self._onward(group, Kind.DEAD_LETTERS, _duplicate_letters(duplicates))

    def _primed_entries(self, group: int) -> list[bytes]:
        from processor.keyed_state.primed import primed_entries

        return [] if self._prime_id is None else primed_entries(self._settings, self._prime_id, self._entity, group)

    def _onward(self, group: int, kind: Kind, records: pa.RecordBatch) -> Iterator[tuple[int, str, bytes]]:
        from fraud.features.entities import entity_after

        job = self._settings.job
        return onward(group, kind, records, entity_after(self._entity, job), job.key_groups)


def _duplicate_letters(duplicates: pa.RecordBatch) -> pa.RecordBatch:
    from processor.decode_stage import dead_letters

    records = duplicates.rename_columns(["data" if name == "raw" else name for name in duplicates.schema.names])
    detail = "the transaction id was decided for this card within 24 hours"
    return dead_letters(
        records,
        [Reject(row, Reason.DUPLICATE, "transaction_id", detail) for row in range(records.num_rows)],
    )
