"""The proof by killing, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")

pytestmark = pytest.mark.spark


def prove(kills: int, folder: Path) -> dict[str, Any]:
    figures, page = folder / "chaos.json", folder / "chaos.html"
    command = [str(FRAUD), "chaos", "--kills", str(kills), "--json", str(figures), "--page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in page.read_text()
    found: dict[str, Any] = json.loads(figures.read_text())
    return found


def assert_proven(found: dict[str, Any], kills: int) -> None:
    assert (found["kills"], found["lost"], found["duplicated"], found["different"]) == (kills, 0, 0, 0)
    stores = found["stores"]
    assert all(stores[name]["expected"] > 0 for name in ("decisions", "dead_letters", "alerts"))
    assert found["faults"]


@pytest.mark.timeout(900)
def test_three_kills_lose_double_and_change_nothing(tmp_path: Path) -> None:
    found = prove(3, tmp_path)
    assert_proven(found, 3)
    assert found["kills_by_target"] == {"driver": 1, "worker": 1, "commit": 1}


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_thirty_kills_lose_double_and_change_nothing(tmp_path: Path) -> None:
    assert_proven(prove(30, tmp_path), 30)
