"""Makes the archive of Spark's classes that every later JVM of this checkout maps: `scripts/setup.sh` runs it.

A JVM otherwise reads its classes out of jars and checks each of them, at every start of a job or a test. Here
the whole stack decides some transactions, and leaves the archive as the first demo of a checkout does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapters.program.configuration import load_settings
from adapters.program.program import run_program
from cli.demo import demo_population
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.errors import FatalError
from processor.class_archive import CLASS_ARCHIVE

_TRANSACTIONS = 2_000


def command() -> None:
    """Write `processor.class_archive.CLASS_ARCHIVE` again."""
    CLASS_ARCHIVE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, LocalStack(load_settings(None, {}), Path(folder) / "stack") as stack:
        run = Run(stack, lambda *_: None)
        job = run.start(demo_population().arguments, _TRANSACTIONS)
        run.stop()
        if not CLASS_ARCHIVE.exists():
            raise FatalError(f"the JVM wrote no archive of its classes: {job.last_words()}")


if __name__ == "__main__":
    run_program(command)
