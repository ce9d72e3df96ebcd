"""The proof by killing, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from embedded.chaos.killer import TARGETS

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
    assert {fault.split()[0] for fault in found["faults"]} == {"s3", "dynamodb"}


@pytest.mark.timeout(900)
def test_a_kill_of_each_part_loses_doubles_and_changes_nothing(tmp_path: Path) -> None:
    found = prove(len(TARGETS), tmp_path)
    assert_proven(found, len(TARGETS))
    assert found["kills_by_target"] == dict.fromkeys(TARGETS, 1)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_thirty_kills_lose_double_and_change_nothing(tmp_path: Path) -> None:
    assert_proven(prove(30, tmp_path), 30)
