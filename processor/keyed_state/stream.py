"""The stateful stages of the query: cards, then merchants."""

from __future__ import annotations

from pyspark.sql import DataFrame

from fraud.features.catalogue import Entity
from fraud.settings import Settings
from processor.envelope import ROWS
from processor.keyed_state.stateful import EntityProcessor

STATEFUL_ENTITIES = (Entity.CARD, Entity.MERCHANT)
"""In the order in which the query folds them, which is that of its stateful operators."""


def with_features(rows: DataFrame, settings: Settings, prime_id: str | None = None) -> DataFrame:
    """Appends the features of card and merchant to rows of `processor.envelope.ROWS`.

    Merchants come after cards, because a merchant's risk depends on what was unusual for a card, and because a
    duplicate, which the card's fold finds, must not reach a merchant's state.

    Args:
        rows: of the decoding stage.
        settings: of the job.
        prime_id: of the state that the query begins with (`processor.keyed_state.primed`); None for none.
    """
    for entity in STATEFUL_ENTITIES:
        rows = rows.groupBy("key_group").transformWithStateInPandas(
            EntityProcessor(entity, settings, prime_id), ROWS, "Append", "None"
        )
    return rows
