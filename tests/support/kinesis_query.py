"""A Spark query from Kinesis to files, as a process that may be killed: `python -m tests.support.kinesis_query`.

It writes the rows to FOLDER/out (Spark's file sink) and its checkpoint to FOLDER/checkpoint. Where FOLDER/stop exists
it reads what there is and ends, otherwise it goes on until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fraud.settings import Settings
from processor import kinesis_source
from processor.session import open_session


def main(url: str, folder: Path, stream: str) -> None:
    spark = open_session(Settings())
    kinesis_source.register(spark)
    options = {"streamName": stream, "region": "us-east-1", "endpointUrl": url, "startingPosition": "earliest"}
    last = (folder / "stop").exists()
    # Small batches, so that kills meet many; what is left at the end may be much.
    limit = "5000" if last else "50"
    source = spark.readStream.format("kinesis").options(**options, maxRecordsPerTrigger=limit).load()
    writer = source.writeStream.format("parquet").option("checkpointLocation", str(folder / "checkpoint"))
    writer = writer.trigger(availableNow=True) if last else writer.trigger(processingTime="100 milliseconds")
    writer.start(str(folder / "out")).awaitTermination()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
