"""Kernels are compiled ahead, and none inside a batch."""

from __future__ import annotations

import subprocess
import sys

LIST = """
import importlib, pkgutil
from fraud.features import kernel
from fraud.features.kernel.compiling import _Cache
from fraud.features.warm_up import compile_kernels

compile_kernels()
for found in pkgutil.iter_modules(kernel.__path__, kernel.__name__ + "."):
    for name, function in vars(importlib.import_module(found.name)).items():
        if isinstance(getattr(function, "_cache", None), _Cache):
            print(name, len(function.signatures))
"""


def test_every_kernel_that_a_batch_may_need_is_compiled_ahead() -> None:
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert {"fold", "next_slice", "forget", "scatter"} <= found.keys()
    unused = {name for name, signatures in found.items() if signatures == "0"}
    assert unused <= {"find_row", "great_circle_km"}  # which only other kernels call in a batch
