"""What every Python worker of Spark does once."""

from __future__ import annotations

import gc
import sys

_frozen_modules = 0


def freeze_imports() -> None:
    """Exempts everything imported so far from garbage collection.

    PySpark's worker daemon runs `gc.collect()` after every task of a reused worker; scanning what was imported took
    more than half of the workers' CPU time. Cheap when nothing was imported since the last call.
    """
    global _frozen_modules
    if len(sys.modules) > _frozen_modules:
        gc.collect()
        gc.freeze()
        _frozen_modules = len(sys.modules)


def batch_in_progress() -> int:
    """Spark's number of the micro-batch that this worker's task belongs to; -1 outside of one."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return -1 if context is None else int(context.getLocalProperty("streaming.sql.batchId") or -1)
