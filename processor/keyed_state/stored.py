"""Reads keyed state out of a checkpoint, without touching it: the query may run meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from fraud.entities import Entity, measured
from fraud.errors import MisconfiguredError
from fraud.features.state import EntityState
from fraud.path import Step
from fraud.settings import Settings
from processor.checkpoint_folder import CheckpointFolder
from processor.keyed_state.log import Head, replay
from processor.keyed_state.stateful import ROUNDS


class StoredState:
    """The state of a query as of its last committed batch.

    Args:
        spark: a session.
        settings: those of the query.

    Attributes:
        entities: those that the query measures, in the order in which it folds them.
        batch: the last committed batch.

    Raises:
        MisconfiguredError: there is no checkpoint with state.
    """

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark = spark
        self._settings = settings
        if CheckpointFolder(spark, settings.job.checkpoint).id() is None:
            raise MisconfiguredError("job.checkpoint", f"{settings.job.checkpoint} holds no checkpoint")
        self.entities = tuple(measured(settings.job))
        operators = spark.read.format("state-metadata").load(settings.job.checkpoint).collect()
        if len(operators) != len(self.entities):
            raise MisconfiguredError(
                "job.entities",
                f"{settings.job.checkpoint} has the state of {len(operators)} entities, not of {len(self.entities)}",
            )
        self.batch: int = min(operator["maxBatchId"] for operator in operators)
        if self.batch < 0:
            raise MisconfiguredError("job.checkpoint", f"{settings.job.checkpoint} has no committed batch yet")

    def heads(self, entity: Entity) -> dict[int, Head]:
        """The head of each key group's log."""
        rows = self._read(entity, "head").collect()
        return {row["key"]["key_group"]: Head.from_bytes(bytes(row["value"]["head"])) for row in rows}

    def group(self, entity: Entity, group: int) -> EntityState:
        """The state of one key group, rebuilt from its log; empty where the group has none."""
        state, fold = EntityState(), Step(entity, self._settings).fold
        head = self.heads(entity).get(group)
        if head is not None:
            for number in head.lists:
                rows = self._read(entity, ROUNDS[number]).where(f"key.key_group = {int(group)}")
                entries: Iterator[Any] = rows.select("list_element.entry").toLocalIterator()
                replay((bytes(row["entry"]) for row in entries), fold, state)
        return state

    def _read(self, entity: Entity, variable: str) -> DataFrame:
        # Spark numbers stateful operators from the sink backwards.
        operator = len(self.entities) - 1 - self.entities.index(entity)
        reader = self._spark.read.format("statestore").option("operatorId", operator)
        reader = reader.option("stateVarName", variable).option("batchId", self.batch)
        if variable != "head":
            reader = reader.option("flattenCollectionTypes", "true")
        return reader.load(self._settings.job.checkpoint)
