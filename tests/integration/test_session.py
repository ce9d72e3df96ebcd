"""How a session starts: its JVM maps the archive of Spark's classes, its workers come from one daemon."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psutil
import pytest
from pyspark.sql import SparkSession

from fraud.settings import Settings
from processor.session import CLASS_ARCHIVE, open_session, start_workers

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = open_session(Settings())
    yield session
    session.stop()


@pytest.mark.skipif(not CLASS_ARCHIVE.exists(), reason="no archive of Spark's classes; scripts/setup.sh makes it")
def test_the_archive_of_spark_classes_fits_the_jvm_that_maps_it(spark: SparkSession) -> None:
    runtime = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    assert f"-XX:SharedArchiveFile={CLASS_ARCHIVE}" in list(runtime.getInputArguments())
    # Asked to use it or fail, a JVM of the same class path starts.
    command = ["java", "-Xshare:on", f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", "-cp", runtime.getClassPath()]
    assert subprocess.run([*command, "-version"], capture_output=True).returncode == 0
    other = subprocess.run([*command[:-1], "/nowhere.jar", "-version"], capture_output=True)
    assert other.returncode != 0


def test_workers_are_forked_from_the_daemon_before_a_query_needs_them(spark: SparkSession) -> None:
    start_workers(spark, 2).join()

    descendants = psutil.Process().children(recursive=True)
    daemons = [process for process in descendants if "processor.daemon" in process.cmdline()]
    assert len(daemons) == 3  # the daemon and two workers, which keep its command line
