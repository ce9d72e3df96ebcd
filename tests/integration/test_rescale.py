"""State moves to more partitions while records keep arriving, with nothing lost, duplicated or different."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.long]

ROOT = Path(__file__).parents[2]


def test_a_job_under_load_goes_on_in_more_partitions_as_if_nothing_had_been(tmp_path: Path) -> None:
    figures = tmp_path / "rescale.json"
    command = [sys.executable, "-m", "benchmarks.rescale", "--partitions", "3", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert (found["before"], found["partitions"]) == (2, 3)
    assert (found["lost"], found["duplicated"], found["different"]) == (0, 0, 0)
    assert found["expected"] > 0
