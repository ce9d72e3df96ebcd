"""The Spark session of the job: every setting that matters, with its reason."""

from __future__ import annotations

import os
import sys
import threading

import structlog
from pyspark.sql import SparkSession

from fraud.settings import Settings
from processor.class_archive import class_archive_options

log = structlog.get_logger()

_JSON_LOG = "org/apache/spark/log4j2-json-layout.properties"
"""A resource of Spark: each event as a JSON object with ts, level, msg, logger and context."""

_STATE = "spark.sql.streaming.stateStore"

# On a local disk Spark's default starts a process for each file of the checkpoint, to set permissions: some 80 ms of
# every trigger. This one renames in this process. For S3 the deployment names its own (infrastructure/helm).
_LOCAL_FILES = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"


def spark_options(settings: Settings) -> dict[str, str]:
    """Spark's configuration for the job."""
    job = settings.job
    local = {"spark.sql.streaming.checkpointFileManagerClass": _LOCAL_FILES} if "://" not in job.checkpoint else {}
    return local | {
        "spark.app.name": f"fraud-{job.query}",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(job.partitions),
        # State: RocksDB with a change log, so that a commit uploads what changed and not a snapshot.
        f"{_STATE}.providerClass": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
        f"{_STATE}.rocksdb.changelogCheckpointing.enabled": "true",
        # A list is appended to without being read. To count rows, Spark would read a key group's whole log each time.
        f"{_STATE}.rocksdb.trackTotalNumberOfRows": "false",
        f"{_STATE}.encodingFormat": "avro",
        f"{_STATE}.checkpointFormatVersion": "2",
        # Payloads are few and fat: a task's rows fit one Arrow batch.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        "spark.python.worker.reuse": "true",
        "spark.python.daemon.module": "processor.daemon",
        # The stateful stages leave tracebacks whole; with the same environment all workers come from one daemon.
        "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
        # A second attempt beside the first would only fence itself off at the sink.
        "spark.speculation": "false",
        # One failed attempt may be a lost executor; more is for the supervisor, which restarts from the checkpoint.
        "spark.task.maxFailures": "4",
        # Python waits for the JVM to answer on a socket of this machine; Spark's 15 s end a job on a very busy one.
        "spark.python.authenticate.socketTimeout": "120s",
        # Empty partitions and tiny shuffles gain nothing from being planned again in every trigger.
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def open_session(settings: Settings) -> SparkSession:
    """Starts Spark, with what the environment's `PYSPARK_SUBMIT_ARGS` say, or else on this machine.

    In a pod they say it all (`infrastructure/images/job.sh`). Where spark-submit started this program, its JVM is
    joined.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder
    if not {"PYSPARK_SUBMIT_ARGS", "SPARK_ENV_LOADED"} & os.environ.keys():
        builder = builder.master(settings.job.master).config("spark.driver.memory", settings.job.driver_memory)
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        # Short local runs spend more time compiling than C2's code would ever win back.
        options = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {class_archive_options()}"
        if settings.log.format == "json":
            options += f" -Dlog4j2.configurationFile={_JSON_LOG}"
        builder = builder.config("spark.driver.extraJavaOptions", options)
    for name, value in spark_options(settings).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def start_daemon(spark: SparkSession) -> threading.Thread:
    """Has Spark start the daemon of its Python workers now, in the background, and not in a query's first micro-batch.

    Meanwhile the query is planned, which waits for one Python process after another. What costs is the daemon's imports
    and kernels; a worker is forked from it in milliseconds.

    Args:
        spark: the session.

    Returns:
        What asks for it, and ends when it is there.
    """

    def run() -> None:
        try:
            spark.sparkContext.parallelize([0], 1).foreach(lambda _: None)
        except Exception:
            log.info("daemon_not_started_early", exc_info=True)  # the query will try again, and say what is wrong

    thread = threading.Thread(target=run, name="start-daemon", daemon=True)
    thread.start()
    return thread
