"""Schedules of the simulator: the same in every process, and without a difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import build_app
from embedded.simulation.plan import Plan
from embedded.simulation.run import outcome_of, run_on, run_seeds
from embedded.simulation.schedule import run_schedule
from embedded.simulation.verify import problems_of

ROOT = Path(__file__).parents[4]

REGRESSIONS = [line.split("#")[0].split() for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()]

_DIGEST = "from embedded.simulation.plan import Plan; from embedded.simulation.run import outcome_of; "


def test_a_seed_makes_the_same_schedule_in_every_process() -> None:
    command = [sys.executable, "-c", f"{_DIGEST} print(outcome_of(Plan(42, 60)).digest)"]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    assert other.stdout.split()[-1] == outcome_of(Plan(42, 60)).digest


def test_what_happened_makes_the_same_schedule_again_without_being_drawn() -> None:
    drawn = Plan(43, 60)
    first = run_schedule(drawn)
    again = run_schedule(Plan(43, 60, drawn.happened))
    assert again.world.digest == first.world.digest
    assert any(event.startswith("crash") for event in drawn.happened.values())


@pytest.mark.parametrize("line", REGRESSIONS, ids="-".join)
def test_a_seed_that_is_kept_leaves_no_difference(line: list[str]) -> None:
    seed, records = map(int, line)
    assert problems_of(run_schedule(Plan(seed, records))) == []


def test_schedules_with_crashes_and_faults_leave_what_the_oracle_computes() -> None:
    report = run_seeds(range(1, 6), 200, 1)
    assert [outcome.problems for outcome in report.failed] == []
    assert report.crashes >= 4 * report.schedules
    assert report.faults > report.schedules


def test_the_command_writes_its_figures_and_prints_a_timeline(tmp_path: Path) -> None:
    figures = tmp_path / "simulate.json"
    run = CliRunner().invoke(
        build_app(), ["simulate", "--seeds", "1", "--records", "20", "--processes", "1", "--json", str(figures)]
    )
    assert run.exit_code == 0, run.output
    assert json.loads(figures.read_text())["schedules"] == 1
    traced = CliRunner().invoke(build_app(), ["simulate", "--records", "20", "--trace"])
    assert traced.exit_code == 0, traced.output
    assert "s3.put_object pins/fraud/" in traced.output
    assert "<< crash" in traced.output


def test_a_long_run_goes_on_from_the_figures_that_it_has_kept(tmp_path: Path) -> None:
    progress = tmp_path / "progress.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedded.simulation.run._AT_ONCE", 2)
        first = run_on(1, 20, 1, progress)
        seen: list[int] = []
        second = run_on(first.crashes + 1, 20, 1, progress, lambda outcome: seen.append(outcome.seed))
    assert (first.schedules, second.schedules, seen) == (2, 4, [3, 4])
    assert run_on(first.crashes, 20, 1, progress).crashes == second.crashes, "there were that many already"


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_million_crashes_without_a_difference(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    report = run_on(1_000_000, 200, 2, pytestconfig.cache.mkdir("simulate") / "progress.json")
    assert [(outcome.seed, outcome.problems[:3]) for outcome in report.failed] == []


@pytest.mark.long
def test_a_thousand_schedules_without_a_difference() -> None:
    report = run_seeds(range(10_000, 11_000), 200, 2)
    assert [(outcome.seed, outcome.problems[:3]) for outcome in report.failed] == []
