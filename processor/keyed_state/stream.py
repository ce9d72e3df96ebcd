"""The stateful stages of the query: one for each entity that is switched on, in the order of the path."""

from __future__ import annotations

from pyspark.sql import DataFrame

from fraud.entities import measured
from processor.envelope import ROWS
from processor.keyed_state.stateful import EntityProcessor
from processor.run import Run


def with_features(rows: DataFrame, run: Run, backfill_id: str | None = None) -> DataFrame:
    """Appends the features of all entities that are switched on to rows of `processor.envelope.ROWS`.

    Args:
        rows: of the decoding stage.
        run: of the job.
        backfill_id: of the state that the query begins with (`processor.keyed_state.backfill`); None for none.
    """
    for entity in measured(run.settings.job):
        rows = rows.groupBy("key_group").transformWithStateInPandas(
            EntityProcessor(entity, run, backfill_id), ROWS, "Append", "None"
        )
    return rows
