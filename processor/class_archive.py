"""The archive of Spark's classes, of one environment: where it lies, and how a session's JVM uses or writes it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

CLASS_ARCHIVE = Path(sys.prefix) / "share" / "spark-classes.jsa"
"""Spark's classes as the JVM holds them in memory, made by `scripts/make_class_archive.py`.

A JVM that maps it reads and checks no jars for them, and uses it only where its own build and the jars are the same.
"""

RECORD_CLASSES = "RECORD_SPARK_CLASSES"
"""Environment variable: the session's JVM writes such an archive to this file when it ends."""

# A JVM that the archive does not fit goes on without it; that is no news.
_QUIET_ARCHIVE = "-Xlog:cds=off -Xlog:cds+dynamic=off"


def class_archive_options() -> str:
    """Options of the JVM: it writes an archive where that is asked for, else maps one where there is one."""
    if RECORD_CLASSES in os.environ:
        written = shlex.quote(os.environ[RECORD_CLASSES])
        return f"-XX:+IgnoreUnrecognizedVMOptions -XX:ArchiveClassesAtExit={written} {_QUIET_ARCHIVE}"
    if CLASS_ARCHIVE.exists():
        return f"-XX:SharedArchiveFile={shlex.quote(str(CLASS_ARCHIVE))} {_QUIET_ARCHIVE}"
    return ""
