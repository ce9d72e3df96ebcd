"""Schedules of the simulator: the same in every process, and without a difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.program.program import INTERRUPTED
from cli.main import build_app
from cli.simulate import Progress
from embedded.simulation.plan import Plan
from embedded.simulation.run import Goal, Outcome, SimulationReport, outcome_of, run_schedules
from embedded.simulation.schedule import run_schedule
from embedded.simulation.verify import problems_of
from fraud.errors import MisconfiguredError

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # who is killed closes nothing


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


@pytest.mark.parametrize("first", range(1, 61, 15))
def test_schedules_with_crashes_and_faults_leave_what_the_oracle_computes(first: int) -> None:
    report = run_schedules(Goal(15), 200, 1, first)
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


def test_a_run_that_is_interrupted_goes_on_from_the_figures_that_it_has_kept(tmp_path: Path) -> None:
    kept, seen = tmp_path / "kept.json", list[int]()

    def interrupt(outcome: Outcome, _: SimulationReport) -> None:
        seen.append(outcome.seed)
        if len(seen) == 2:
            raise KeyboardInterrupt

    first = run_schedules(Goal(3), 20, 1, 5, kept, interrupt)
    assert (first.schedules, first.interrupted) == (2, True)
    second = run_schedules(Goal(3), 20, 1, 5, kept, interrupt)
    assert (second.schedules, second.interrupted, seen) == (3, False, [5, 6, 7])
    assert run_schedules(Goal(crashes=second.crashes), 20, 1, 5, kept) == second, "there were that many already"
    assert run_schedules(Goal(1), 20, 1, 6, kept).schedules == 1, "figures of other seeds are not gone on from"


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("{}")
    run = CliRunner().invoke(build_app(), ["simulate", "--seeds", "1", "--resume", str(tmp_path / "kept.json")])
    assert isinstance(run.exception, MisconfiguredError)


def test_ctrl_c_writes_the_figures_and_says_the_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.simulate.Progress.line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    figures = tmp_path / "simulate.json"
    options = ["--seeds", "9", "--records", "20", "--processes", "1", "--json", str(figures)]
    run = CliRunner().invoke(build_app(), ["simulate", *options])
    assert run.exit_code == INTERRUPTED
    written = json.loads(figures.read_text())
    assert (written["schedules"], written["interrupted"]) == (1, True)
    assert "interrupted after seed 1: begin with --resume FILE" in run.output


def test_progress_is_said_every_ten_seconds_with_the_time_that_is_left() -> None:
    times = iter([0.0, 5.0, 30.0, 35.0, 60.0])
    progress = Progress(Goal(101), lambda: next(times))
    reports = [SimulationReport(schedules=count, crashes=10 * count) for count in (1, 21, 22, 101)]
    said = [progress.line(report) for report in reports]
    # 20 of 100 in 30 s: 80 more in 120 s.
    assert said == [None, "20.8 %: 21 schedules, 210 crashes, 0 differences, 40 a minute, 2 min left", None, None]


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_million_crashes_without_a_difference(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("simulate") / "kept.json"
    report = run_schedules(Goal(crashes=1_000_000), 200, 2, resume=kept)
    assert [(outcome.seed, outcome.problems[:3]) for outcome in report.failed] == []
    assert not report.interrupted


@pytest.mark.long
def test_a_thousand_schedules_without_a_difference() -> None:
    report = run_schedules(Goal(1_000), 200, 2, 10_000)
    assert [(outcome.seed, outcome.problems[:3]) for outcome in report.failed] == []
