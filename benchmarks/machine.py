"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("pyspark", "pyarrow", "numba", "numpy")


def describe_machine(libraries: Sequence[str] = _LIBRARIES) -> str:
    """Processor, cores, memory, Python, Java and the libraries that do the work, in one line."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory_gb:.0f} GB, Python {platform.python_version()}, "
        f"{java}, {versions}"
    )
