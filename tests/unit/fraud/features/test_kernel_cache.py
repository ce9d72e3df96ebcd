"""A compiled function is used again as long as no source has changed that is part of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fraud

SCRIPT = """
import numpy as np
from fraud.features.kernel import layout, memory
from fraud.features.state import EntityState
state = EntityState()
state.arrays.meta[layout.META_ROWS] = 1
state.arrays.index[:] = 0
state.arrays.rows[0, layout.ROW_KEY] = 5
memory.fill_index(state.arrays.meta, state.arrays.index, state.arrays.rows)
print(int(np.flatnonzero(state.arrays.index)[0]), sum(memory.fill_index.stats.cache_hits.values()))
"""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    source = Path(fraud.__file__).parent
    shutil.copytree(source, tmp_path / "fraud", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def slot_and_hits(copied: Path) -> tuple[int, int]:
    """Where the index enters key 5, and how many functions came from the cache."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=copied,
        env={"PYTHONPATH": str(copied), "NUMBA_CACHE_DIR": str(copied / "cache"), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    slot, hits = map(int, run.stdout.split())
    return slot, hits


def test_a_change_in_another_file_of_the_kernel_compiles_again(copied: Path) -> None:
    assert slot_and_hits(copied) == (5, 0)
    assert slot_and_hits(copied) == (5, 1)

    # `fill_index` of memory.py is compiled with this function of windows.py ...
    windows = copied / "fraud" / "features" / "kernel" / "windows.py"
    hashing = windows.read_text(encoding="utf-8")
    windows.write_text(hashing.replace("(key ^ (key >> 31)) & mask", "(key + 2) & mask"), encoding="utf-8")
    assert slot_and_hits(copied) == (7, 0)

    # ... and with this number of layout.py: one of before would find no rows to enter.
    layout = copied / "fraud" / "features" / "kernel" / "layout.py"
    numbers = layout.read_text(encoding="utf-8")
    layout.write_text(numbers.replace("META_ROWS, META_SLAB,", "META_SLAB, META_ROWS,"), encoding="utf-8")
    assert slot_and_hits(copied) == (7, 0)
