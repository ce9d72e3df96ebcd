"""Makes the archive of Spark's classes that every later JVM of this checkout maps: `scripts/setup.sh` runs it.

A JVM otherwise reads its classes out of jars and checks each of them, at every start of a job or a test. Here
the whole stack decides some transactions, and the JVM writes down what it has loaded when it ends.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

from adapters.configuration import load_settings
from adapters.program import run_program
from cli.demo import generated
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.errors import FatalError
from processor.session import CLASS_ARCHIVE, RECORD_CLASSES

_TRANSACTIONS = 2_000
_DUMP_S = 180.0


def command() -> None:
    """Write `processor.session.CLASS_ARCHIVE` anew."""
    CLASS_ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CLASS_ARCHIVE.parent) as folder:
        written = Path(folder) / CLASS_ARCHIVE.name
        os.environ[RECORD_CLASSES] = str(written)
        with LocalStack(load_settings(None, {}, {}), Path(folder) / "stack") as stack:
            run = Run(stack, lambda *_: None)
            job = run.start(generated(), _TRANSACTIONS)
            (machine,) = (child for child in psutil.Process(job.pid).children() if child.name() == "java")
            job.interrupt()
            machine.wait(_DUMP_S)
        if not written.exists():
            raise FatalError(f"the JVM wrote no archive of its classes: {job.last_words()}")
        written.replace(CLASS_ARCHIVE)


if __name__ == "__main__":
    run_program(command)
