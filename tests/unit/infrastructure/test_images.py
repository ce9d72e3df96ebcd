"""The Dockerfiles, as far as they can be looked at without Docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from infrastructure.checks import images

ROOT = Path(__file__).parents[3]


def test_the_dockerfiles_have_no_problems() -> None:
    assert images.run() == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("FROM a:1 AS b\nFROM a:1\nHEALTHCHECK NONE\nUSER 185\nCOPY absent x\n", "absent is not there"),
        ("FROM a:1 AS b\nFROM a:1\nHEALTHCHECK NONE\nUSER 185\nCOPY --from=c x y\n", "there is no stage c"),
        ("FROM a:1 AS b\nFROM a:1\nHEALTHCHECK NONE\n", "runs as root"),
        ("FROM a:1 AS b\nFROM a:1\nHEALTHCHECK NONE\nUSER 185\nUSER root\n", "runs as root"),
        ("FROM a:1 AS b\nFROM a\nHEALTHCHECK NONE\nUSER 185\n", "a names no version"),
        ("FROM a:1 AS b\nFROM a:1\nUSER 185\n", "says nothing of its health"),
        ("FROM a:1\nHEALTHCHECK NONE\nUSER 185\n", "is not built in stages"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "x.Dockerfile"
    file.write_text(content)
    assert images.check_dockerfile(file) == [f"x.Dockerfile: {problem}"]


def test_the_container_refuses_what_sagemaker_does_not_start() -> None:
    script = ROOT / "infrastructure" / "images" / "sagemaker.sh"
    result = subprocess.run([str(script), "deploy"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "neither serve nor train" in result.stderr


@pytest.mark.long
def test_the_installation_of_an_image_serves_its_commands(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": str(ROOT / ".venv" / "bin" / "python")}
    folder = tmp_path / "venv"
    subprocess.run(
        [str(ROOT / "infrastructure" / "images" / "install.sh"), str(folder), "pyspark", "py4j"],
        check=True,
        env=environment,
    )
    program = [str(folder / "bin" / "fraud")]
    shown = subprocess.run([*program, "settings"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "fraud-transactions" in shown.stdout
    dry = [*program, "produce", "--dry-run", "--num-transactions", "10"]
    subprocess.run(dry, cwd=ROOT, check=True, env={**environment, "NUMBA_CACHE_DIR": str(tmp_path)})
    listed = subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "list"], capture_output=True, text=True)
    held = {line.split()[0] for line in listed.stdout.splitlines()[2:]}
    assert "boto3" in held
    assert not held & {"pytest", "pyspark", "py4j", "setuptools"}
