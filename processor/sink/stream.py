"""Starts the query that ends in the sink."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from fraud.settings import Settings
from processor.sink.writer import NAME, DecisionSink


def start_sink(rows: DataFrame, settings: Settings) -> StreamingQuery:
    """Starts the query that writes rows of `processor.envelope.ROWS`."""
    job = settings.job
    rows.sparkSession.dataSource.register(DecisionSink)
    return (
        rows.writeStream.format(NAME)
        .queryName(job.query)
        .option("settings", settings.model_dump_json())
        .option("checkpointLocation", job.checkpoint)
        .trigger(processingTime=f"{job.trigger_ms} milliseconds")
        .start()
    )
