"""How a session starts: its JVM maps the archive of Spark's classes, its workers come from one daemon."""

from __future__ import annotations

import contextlib
import subprocess

import psutil
import pyspark
import pytest
from pyspark.sql import SparkSession

from processor.class_archive import CLASS_ARCHIVE
from processor.session import start_daemon

pytestmark = pytest.mark.spark


@pytest.mark.skipif(not CLASS_ARCHIVE.exists(), reason="no archive of Spark's classes; scripts/setup.sh makes it")
def test_the_archive_of_spark_classes_fits_the_jvm_that_maps_it(spark: SparkSession) -> None:
    runtime = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    assert f"-XX:SharedArchiveFile={CLASS_ARCHIVE}" in list(runtime.getInputArguments())
    # Asked to use it or fail, a JVM of the same class path starts.
    java = f"{spark._jvm.java.lang.System.getProperty('java.home')}/bin/java"
    command = [java, "-Xshare:on", f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", "-cp", runtime.getClassPath()]
    assert subprocess.run([*command, "-version"], capture_output=True).returncode == 0
    other = subprocess.run([*command[:-1], "/nowhere.jar", "-version"], capture_output=True)
    assert other.returncode != 0


def test_the_daemon_of_workers_is_there_before_a_query_needs_it(spark: SparkSession) -> None:
    start_daemon(spark).join()

    started = [child for machine in children_of(psutil.Process(), "java") for child in children_of(machine, "python")]
    assert any("processor.daemon" in child.cmdline() for child in started)  # beside what other tests have begun


def test_workers_import_the_installed_pyspark(spark: SparkSession) -> None:
    """The one in Spark's archive would be compiled by each of them (`scripts/setup.sh` takes it away)."""
    places = spark.sparkContext.parallelize([0], 1).map(lambda _: pyspark.__file__).collect()
    assert places == [pyspark.__file__]


def children_of(process: psutil.Process, name: str) -> list[psutil.Process]:
    """The children whose program is called so; others may end while they are looked at."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name().startswith(name):
                found.append(child)
    return found
