"""The sink as a Spark data source: one partition a task, every attempt with the same effect."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from fraud.settings import Settings
from processor.sink.assemble import assemble
from processor.sink.commit import Committed, PartitionCommitter
from processor.worker import freeze_imports

NAME = "fraud-decisions"


@dataclass
class PartitionMessage(WriterCommitMessage):
    """What a task tells the driver."""

    committed: Committed


class DecisionSink(DataSource):
    """`writeStream.format("fraud-decisions").option("settings", JSON)`."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return NAME

    def streamWriter(self, schema: StructType, overwrite: bool) -> DecisionWriter:  # noqa: N802, ARG002 - Spark's
        """The writer of one query."""
        return DecisionWriter(self.options)


class DecisionWriter(DataSourceStreamArrowWriter):
    """Writes the rows of `processor.envelope.ROWS`."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        self._settings_json = options["settings"]

    def write(self, iterator: Iterator[pa.RecordBatch]) -> PartitionMessage:
        """Commits one partition; runs in an executor's Python worker."""
        freeze_imports()
        context = TaskContext.get()
        assert context is not None
        batch_id = int(context.getLocalProperty("streaming.sql.batchId") or -1)
        assembled = assemble(iterator)
        committed = _committer(self._settings_json).commit(batch_id, context.partitionId(), assembled)
        freeze_imports()
        return PartitionMessage(committed)


@lru_cache(maxsize=1)
def _committer(settings_json: str) -> PartitionCommitter:
    return PartitionCommitter(Settings.model_validate_json(settings_json))
