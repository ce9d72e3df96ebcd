"""The stateful stages of the query: cards, then the other entities that are switched on."""

from __future__ import annotations

from pyspark.sql import DataFrame

from fraud.features.entities import events_kept
from fraud.settings import Settings
from processor.envelope import ROWS
from processor.keyed_state.stateful import EntityProcessor


def with_features(rows: DataFrame, settings: Settings, prime_id: str | None = None) -> DataFrame:
    """Appends the features of all entities that are switched on to rows of `processor.envelope.ROWS`.

    Cards come first, because a merchant's risk depends on what was unusual for a card, and because a duplicate, which
    the card's fold finds, must not reach another state.

    Args:
        rows: of the decoding stage.
        settings: of the job.
        prime_id: of the state that the query begins with (`processor.keyed_state.primed`); None for none.
    """
    for entity in events_kept(settings.job):
        rows = rows.groupBy("key_group").transformWithStateInPandas(
            EntityProcessor(entity, settings, prime_id), ROWS, "Append", "None"
        )
    return rows
