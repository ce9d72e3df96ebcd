"""The stateful stages of the query: cards, then merchants."""

from __future__ import annotations

from pyspark.sql import DataFrame

from fraud.features.catalogue import Entity
from fraud.settings import Settings
from processor.envelope import ROWS
from processor.keyed_state.stateful import EntityProcessor


def with_features(rows: DataFrame, settings: Settings) -> DataFrame:
    """Appends the features of card and merchant to rows of `processor.envelope.ROWS`.

    Merchants come after cards, because a merchant's risk depends on what was unusual for a card, and because a
    duplicate, which the card's fold finds, must not reach a merchant's state.
    """
    for entity in (Entity.CARD, Entity.MERCHANT):
        rows = rows.groupBy("key_group").transformWithStateInPandas(
            EntityProcessor(entity, settings), ROWS, "Append", "None"
        )
    return rows
