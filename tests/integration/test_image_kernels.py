"""A container finds the kernels that its image was built with, and compiles none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILE = [sys.executable, "-c", "from ml_model.warm_up import compile_kernels; compile_kernels()"]


def start(environment: dict[str, str]) -> None:
    script = ROOT / "infrastructure" / "images" / "start.sh"
    subprocess.run([str(script), *COMPILE], cwd=ROOT, env={**os.environ, **environment}, check=True)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_the_build_compiled_is_what_a_container_uses(tmp_path: Path) -> None:
    start({"NUMBA_CACHE_DIR": str(tmp_path / "built"), "KERNELS": str(tmp_path / "none")})
    built = files(tmp_path / "built")
    assert any(name.endswith(".nbc") for name in built)
    start({"NUMBA_CACHE_DIR": str(tmp_path / "pod"), "KERNELS": str(tmp_path / "built")})
    assert files(tmp_path / "pod") == built
