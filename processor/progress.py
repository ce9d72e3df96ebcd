"""Tells of each micro-batch in the log."""

from __future__ import annotations

import structlog
from pyspark.sql.streaming import StreamingQueryListener
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
)

log = structlog.get_logger()


class ProgressLog(StreamingQueryListener):
    """Logs a line for each batch that had records: its size and the milliseconds of its phases."""

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 - Spark's name
        """The start is logged by the program."""

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's name
        """One line for a batch."""
        progress = event.progress
        if progress.numInputRows:
            log.info("batch", batch=progress.batchId, records=progress.numInputRows, ms=dict(progress.durationMs))

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 - Spark's name
        """Nothing to tell."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's name
        """The end is logged by the program."""
