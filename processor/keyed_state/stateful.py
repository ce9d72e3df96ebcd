"""The stateful processors of Spark: thin shells around `advance_group`.

What folds is imported where it is used: to plan a query, Spark loads each processor in a process of its own, one after
the other, which only declares the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, Any

from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

from fraud.entities import Entity
from fraud.records import Records, joined
from processor.envelope import ROW_SCHEMA, collect, next_rows
from processor.worker import batch_in_progress, freeze_imports

if TYPE_CHECKING:
    import pandas as pd

    from fraud.path import Step
    from fraud.settings import Settings
    from processor.keyed_state.log import Head
    from processor.run import Run

ROUNDS = ("even_rounds", "odd_rounds")
"""Names of the two lists that hold the rounds of a log."""

_COLUMNS = list(ROW_SCHEMA.names)


class EntityProcessor(StatefulProcessor):
    """Folds the key groups of one entity kind; takes and gives rows of `processor.envelope.ROWS`.

    Args:
        entity: one of `job.entities`.
        run: what batches are decided by.
        backfill_id: of the backfilled state that the query begins with; None for none.
        batch: the number of the batch in progress.
    """

    def __init__(
        self, entity: Entity, run: Run, backfill_id: str | None = None, batch: Callable[[], int] = batch_in_progress
    ) -> None:
        self._entity = entity
        self._run = run
        self._backfill_id = backfill_id
        self._batch = batch
        self._made: tuple[Settings, Step] | None = None

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declares the state: the even and the odd rounds of a log of changes, and its head."""
        freeze_imports()
        self._rounds = [handle.getListState(name, "entry binary") for name in ROUNDS]
        self._head = handle.getValueState("head", "head binary")

    def step(self) -> Step:
        """The entity's step of the path."""
        from fraud.path import Step

        settings = self._run.settings_of(self._batch())
        if self._made is None or self._made[0] is not settings:
            self._made = settings, Step(self._entity, settings)
        return self._made[1]

    def receive(self, rows: Iterable[tuple[str, bytes]]) -> Records:
        """The records in rows of (kind, payload)."""
        return collect(rows)

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
        emitted = list(self.advance(int(key[0]), self.receive(pairs)))
        yield pd.DataFrame.from_records(emitted, columns=_COLUMNS).astype({"key_group": "int32"})

    def close(self) -> None:
        """Nothing to release: the local copy serves the worker's next tasks."""

    def advance(self, group: int, records: Records) -> Iterator[tuple[int, str, bytes]]:
        """Folds one key group's records of a batch; gives the rows for the next stage."""
        step = self.step()
        if step.concerns(records):
            records = self._durable_advance(group, step, records)
        return next_rows(group, records, step.next, self._run.settings.job.key_groups)

    def new_token(self) -> bytes:
        """Names the next version of a key group's state."""
        from processor.keyed_state.group import fresh_token

        return fresh_token()

    def _durable_advance(self, group: int, step: Step, records: Records) -> Records:
        from processor.keyed_state.group import advance_group
        from processor.keyed_state.log import EMPTY, Head
        from processor.keyed_state.sizes import is_due, size_of

        job = self._run.settings.job
        stored = self._head.get()
        head = Head.from_bytes(bytes(stored[0])) if stored is not None else EMPTY
        folder = Path(job.state_folder) / job.query / self._entity.name / str(group)
        change = advance_group(
            folder,
            step,
            head,
            lambda: self._logged(head),
            records,
            beginning=lambda: self._backfilled(group),
            new_token=self.new_token,
        )
        self._rounds[change.head.round % 2].appendList([(entry,) for entry in change.entries])
        if change.ended:
            self._rounds[1 - change.head.round % 2].clear()
        self._head.update((change.head.to_bytes(),))
        if not is_due(self._batch(), group, change):
            return change.records
        return joined([change.records, Records(sizes=size_of(self._entity, group, change, disk_usage(folder).free))])

    def _logged(self, head: Head) -> Iterator[bytes]:
        """The entries of the log."""
        return (bytes(entry[0]) for number in head.lists for entry in self._rounds[number].get())

    def _backfilled(self, group: int) -> list[bytes]:
        from processor.keyed_state.backfill import log_entries

        if self._backfill_id is None:
            return []
        return log_entries(self._run.settings, self._backfill_id, self._entity, group)
