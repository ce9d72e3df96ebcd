"""A streaming data source for Kinesis: `spark.readStream.format("kinesis")`; see `docs/kinesis-source.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from processor.kinesis_source.options import parse_options
from processor.kinesis_source.rows import SPARK_SCHEMA

if TYPE_CHECKING:
    from fraud.settings import Settings
    from processor.kinesis_source.reader import KinesisStreamReader

__all__ = ["KinesisSource", "options_from", "pause_file", "register"]


class KinesisSource(DataSource):
    """The data source `kinesis`."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "kinesis"

    def schema(self) -> str:
        """The rows, see `processor.kinesis_source.rows`."""
        parse_options(self.options)  # here, so that a bad option fails at load()
        return SPARK_SCHEMA

    def streamReader(self, schema: StructType) -> KinesisStreamReader:  # noqa: N802, ARG002 - Spark's
        """The reader of one query."""
        from processor.kinesis_source.reader import KinesisStreamReader  # Spark looks at the schema in another process

        return KinesisStreamReader(parse_options(self.options))


def register(spark: SparkSession) -> None:
    """Makes the format known to a session."""
    spark.dataSource.register(KinesisSource)


def pause_file(settings: Settings) -> Path:
    """The file on the driver's machine whose presence keeps the source from giving more records."""
    return Path(settings.job.state_folder).absolute() / "pause" / settings.job.query


def options_from(settings: Settings) -> dict[str, str]:
    """The source's options as the settings of the job have them."""
    source = settings.source
    options = {
        "streamName": f"{settings.streams.transactions},{settings.streams.labels}",
        "region": settings.aws.region,
        "startingPosition": settings.job.start,
        "maxRecordsPerTrigger": str(settings.job.max_records_per_trigger),
        "maxBytesPerTrigger": str(source.max_bytes_per_trigger),
        "pollIntervalMs": str(source.poll_ms),
        "bufferBytes": str(source.buffer_bytes),
        "shardBytesPerSecond": str(source.shard_bytes_per_s),
        "failOnDataLoss": str(source.fail_on_data_loss).lower(),
        "stallTimeoutSeconds": str(source.stall_s),
        "reader": source.reader,
        "consumerName": source.consumer,
        "pauseFile": str(pause_file(settings)),
    }
    endpoint = settings.aws.endpoint_of("kinesis")
    if endpoint is not None:
        options["endpointUrl"] = endpoint
        options["shardBytesPerSecond"] = "0"  # an emulator has no such limit, and fewer shards than its load needs
    return options
