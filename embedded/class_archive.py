"""Keeps Spark's classes from a run of the job, so that the JVM of a later one need not read and check them again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired

import psutil

from embedded.child import Child
from processor.class_archive import CLASS_ARCHIVE, RECORD_CLASSES

_DUMP_S = 120.0


class ClassRecording:
    """A run of the job whose JVM writes an archive of its classes when it ends.

    Args:
        folder: of the run, where the archive is written before it is taken over.
    """

    def __init__(self, folder: Path) -> None:
        self._written = folder / CLASS_ARCHIVE.name

    @classmethod
    def where_missing(cls, folder: Path) -> ClassRecording | None:
        """A recording where this environment has no archive yet."""
        return None if CLASS_ARCHIVE.exists() else cls(folder)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variable that asks the job's session for it."""
        return {RECORD_CLASSES: str(self._written)}

    def stop(self, job: Child, grace_s: float) -> None:
        """Lets the job finish and its JVM write the archive, and takes it over; nothing happens where there is none.

        Args:
            job: runs, or has ended.
            grace_s: how long it may take to finish.
        """
        machines = [] if job.exit_code is not None else psutil.Process(job.pid).children()
        job.interrupt()
        with contextlib.suppress(TimeoutExpired):
            job.wait(grace_s)
            # The JVM ends after the program that started it.
            psutil.wait_procs(machines, _DUMP_S)
        job.stop()
        if self._written.exists():
            CLASS_ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
            self._written.replace(CLASS_ARCHIVE)
