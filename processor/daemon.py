"""The process from which Spark forks its Python workers: `pyspark.daemon` with what they need, imported and compiled.

Each worker would otherwise import pandas, PyArrow and numba and load the kernels for itself, more than a second of
processor, in the first micro-batch of a job and after every loss of a worker. Forked from here, they begin with them
and share their memory. Where numba's cache is empty, the kernels are compiled once and not by all workers at a time.
XGBoost and Polars stay out: only the workers that score need them, and Polars starts threads. PySpark's own daemon
imports no library, because threads do not survive a fork. Ours are made for it: Arrow makes new thread pools in
the child, and OpenBLAS ends its threads before the fork.
"""

from __future__ import annotations

from importlib import import_module

from pyspark.daemon import manager

from fraud.features.warm_up import compile_kernels
from processor.worker import freeze_imports

NEEDED = (
    "pyspark.worker",
    "processor.decode_stage",
    "processor.keyed_state.stateful",
    "processor.keyed_state.group",
    "processor.sink.writer",
    "processor.sink.assemble",
    "adapters.alerts.table",
    "adapters.archive.archive",
)
"""Modules that workers begin with."""

if __name__ == "__main__":
    for module in NEEDED:
        import_module(module)
    compile_kernels()
    freeze_imports()
    manager()
