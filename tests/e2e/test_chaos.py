"""The proof by killing, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from embedded.chaos.fault_proxy import FAULTS
from embedded.chaos.killer import TARGETS
from tests.support.calendar import FROM_FIRST_DAY

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")

pytestmark = pytest.mark.spark


def prove(kills: int, folder: Path, *options: str) -> dict[str, Any]:
    figures, page = folder / "chaos.json", folder / "chaos.html"
    command = [str(FRAUD), "chaos", "--kills", str(kills), *options, *FROM_FIRST_DAY]
    command += ["--json", str(figures), "--page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in page.read_text()
    found: dict[str, Any] = json.loads(figures.read_text())
    return found


def assert_proven(found: dict[str, Any], kills: int) -> None:
    assert (found["kills"], found["lost"], found["duplicated"], found["different"]) == (kills, 0, 0, 0)
    stores = found["stores"]
    assert all(stores[name]["expected"] > 0 for name in ("decisions", "dead_letters", "alerts"))
    assert all(found["faults"].keys() & set(names) for kind, names in FAULTS.items() if kind != "kinesis write")


@pytest.mark.timeout(1800)
def test_kills_amid_hostile_records_and_policies_lose_double_and_change_nothing(tmp_path: Path) -> None:
    found = prove(2, tmp_path, "--hostile")
    assert_proven(found, 2)
    assert found["kills_by_target"] == dict.fromkeys(list(TARGETS)[:2], 1)
    assert found["hostile"] >= 50


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_kill_of_each_part_loses_doubles_and_changes_nothing(tmp_path: Path) -> None:
    found = prove(len(TARGETS), tmp_path)
    assert_proven(found, len(TARGETS))
    assert found["kills_by_target"] == dict.fromkeys(TARGETS, 1)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_thirty_kills_lose_double_and_change_nothing(tmp_path: Path) -> None:
    assert_proven(prove(30, tmp_path, "--hostile"), 30)


def assert_answers_are_kept(found: dict[str, Any], kills: int) -> None:
    assert (found["kills"], found["lost"], found["duplicated"], found["different"]) == (kills, 0, 0, 0)
    assert found["answered"] > 500
    assert found["stores"]["answers"]["expected"] == found["answered"]
    assert found["faults"].keys() >= {*FAULTS["kinesis write"], "kinesis write away"}


@pytest.mark.timeout(1800)
def test_kills_of_the_decision_service_lose_double_and_change_no_answer(tmp_path: Path) -> None:
    found = prove(3, tmp_path, "--system", "decide")
    assert_answers_are_kept(found, 3)
    assert found["kills_by_target"] == {"at random": 2, "in a write of the journal": 1}


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_twenty_kills_of_the_decision_service_lose_double_and_change_no_answer(tmp_path: Path) -> None:
    assert_answers_are_kept(prove(20, tmp_path, "--system", "decide"), 20)
