"""Starts the query that ends in the sink."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from fraud.settings import Settings
from processor.run import Run
from processor.sink.writer import NAME, DecisionSink


def reports_folder(settings: Settings) -> Path:
    """Where the commits of a driver leave their reports."""
    return Path(settings.job.state_folder).absolute() / "reports" / settings.job.query


def start_sink(rows: DataFrame, run: Run) -> StreamingQuery:
    """Starts the query that writes rows of `processor.envelope.ROWS`."""
    job = run.settings.job
    rows.sparkSession.dataSource.register(DecisionSink)
    return (
        rows.writeStream.format(NAME)
        .queryName(job.query)
        .option("run", run.model_dump_json())
        .option("reports", str(reports_folder(run.settings)))
        .option("checkpointLocation", job.checkpoint)
        .trigger(processingTime=f"{job.trigger_ms} milliseconds")
        .start()
    )
