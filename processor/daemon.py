"""The process from which Spark forks its Python workers: `pyspark.daemon`, with everything that they need imported.

Each worker would otherwise import pandas, PyArrow and numba for itself, most of a second of processor, in the first
micro-batch of a job and after every loss of a worker. Forked from here, they begin with them and share their memory.
XGBoost stays out: only the workers that score need it. PySpark's own daemon imports no library, because some start
threads, which do not survive a fork. Ours are made for it: Arrow makes its thread pools anew in the child, and OpenBLAS
ends its threads before the fork.
"""

from __future__ import annotations

from importlib import import_module

from pyspark.daemon import manager

from processor.worker import freeze_imports

_NEEDED = "pyspark.worker", "processor.decode_stage", "processor.keyed_state.stateful", "processor.sink.writer"

if __name__ == "__main__":
    for module in _NEEDED:
        import_module(module)
    freeze_imports()
    manager()
