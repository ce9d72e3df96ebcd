"""How a transaction flows: source, decode, cards, merchants, sink."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from fraud.settings import Settings
from processor import kinesis_source
from processor.decode_stage import DecodeStage
from processor.envelope import ROWS
from processor.keyed_state.stream import with_features
from processor.run import Run
from processor.sink.stream import start_sink


def read_streams(spark: SparkSession, settings: Settings) -> DataFrame:
    """Transactions and labels as one stream of records, so that one batch orders both."""
    kinesis_source.register(spark)
    return spark.readStream.format("kinesis").options(**kinesis_source.options_from(settings)).load()


def start(spark: SparkSession, run: Run, backfill_id: str | None = None) -> StreamingQuery:
    """Starts the query from its checkpoint, or from nothing where there is none.

    Args:
        spark: a session.
        run: what batches are decided by.
        backfill_id: of the state that the query begins with; None for none.
    """
    records = read_streams(spark, run.settings)
    addressed = records.mapInArrow(DecodeStage(run), ROWS)
    return start_sink(with_features(addressed, run, backfill_id), run)
