"""The sink as a Spark data source: one partition a task, every attempt with the same effect."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from processor.sink.report import BatchReports, Committed
from processor.worker import batch_in_progress, freeze_imports

if TYPE_CHECKING:
    from processor.sink.commit import PartitionCommitter

NAME = "fraud-decisions"


@dataclass
class PartitionMessage(WriterCommitMessage):
    """What a task reports to the driver."""

    committed: Committed


class DecisionSink(DataSource):
    """`writeStream.format("fraud-decisions").option("run", JSON)`."""

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
        self._run_json = options["run"]
        self._reports = Path(options["reports"])
        freeze_imports()  # made for each micro-batch, in a process that plans the write

    def write(self, iterator: Iterator[pa.RecordBatch]) -> PartitionMessage:
        """Commits one partition; runs in an executor's Python worker."""
        from processor.sink.assemble import assemble  # not needed where the write is planned or committed

        freeze_imports()
        context = TaskContext.get()
        assert context is not None
        committer = _committer(self._run_json)
        assembled = assemble(iterator, committer.catalogue)
        committed = committer.commit(batch_in_progress(), context.partitionId(), assembled)
        freeze_imports()
        return PartitionMessage(committed)

    def commit(self, messages: Sequence[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's
        """Adds what a batch committed to the driver's metrics; runs in a process of its own on the driver's machine."""
        freeze_imports()
        total = Committed()
        for message in messages:
            if isinstance(message, PartitionMessage):
                total = total.plus(message.committed)
        BatchReports(self._reports).leave(batchId, total)


@lru_cache(maxsize=1)
def _committer(run_json: str) -> PartitionCommitter:
    # Imported here, because the process that commits a batch needs none of it.
    from adapters.program.log import configure_logging
    from processor.run import Run
    from processor.sink.compose import open_committer

    run = Run.model_validate_json(run_json)
    configure_logging(run.settings.log, "processor")
    return open_committer(run)
