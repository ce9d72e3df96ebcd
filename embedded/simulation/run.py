"""Many schedules, in processes of their own, with what was found."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.program.version import program_version
from embedded.simulation.plan import Plan

_SINGLE_THREADED = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
}

_AT_ONCE = 100
"""Schedules after which the figures of a long run are kept."""


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to.

    Attributes:
        seed: of the schedule.
        crashes: processes, workers and connections that it ended.
        faults: calls that a service did not do as asked.
        calls: to the outside.
        digest: names what happened, call by call.
        problems: what is wrong, in words.
    """

    seed: int
    crashes: int
    faults: int
    calls: int
    digest: str
    problems: tuple[str, ...]


@dataclass
class SimulationReport:
    """What many schedules came to.

    Attributes:
        schedules: that were run.
        crashes: in all of them.
        faults: in all of them.
        calls: in all of them.
        failed: those in which something is wrong.
        seconds: that it took.
    """

    schedules: int = 0
    crashes: int = 0
    faults: int = 0
    calls: int = 0
    failed: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Takes up a schedule."""
        self.schedules += 1
        self.crashes += outcome.crashes
        self.faults += outcome.faults
        self.calls += outcome.calls
        if outcome.problems:
            self.failed.append(outcome)

    def with_more(self, other: SimulationReport) -> SimulationReport:
        """Both together."""
        return SimulationReport(
            self.schedules + other.schedules,
            self.crashes + other.crashes,
            self.faults + other.faults,
            self.calls + other.calls,
            [*self.failed, *other.failed],
            self.seconds + other.seconds,
        )

    def figures(self) -> dict[str, Any]:
        """The figures for `--json`."""
        return {
            "schedules": self.schedules,
            "crashes": self.crashes,
            "faults": self.faults,
            "calls": self.calls,
            "differences": sum(len(outcome.problems) for outcome in self.failed),
            "failed_seeds": sorted(outcome.seed for outcome in self.failed),
            "seconds": round(self.seconds, 1),
            "schedules_per_minute": round(60 * self.schedules / self.seconds, 1) if self.seconds else 0.0,
        }


def outcome_of(plan: Plan) -> Outcome:
    """Runs one schedule and checks it."""
    from embedded.simulation.schedule import run_schedule
    from embedded.simulation.verify import problems_of

    schedule = run_schedule(plan)
    kinds = Counter(event.split()[0] for event in plan.happened.values())
    return Outcome(
        plan.seed,
        kinds["crash"],
        kinds["fault"],
        schedule.world.calls,
        schedule.world.digest,
        tuple(problems_of(schedule)),
    )


def run_seeds(
    seeds: Iterable[int], records: int, processes: int, done: Callable[[Outcome], None] = lambda _: None
) -> SimulationReport:
    """Runs the schedules of seeds in several processes.

    Args:
        seeds: one schedule each.
        records: transactions of a schedule.
        processes: at the same time; 1 runs them here.
        done: takes every outcome, as they come.
    """
    report, began = SimulationReport(), time.monotonic()
    for outcome in _outcomes(seeds, records, processes):
        report.add(outcome)
        report.seconds = time.monotonic() - began
        done(outcome)
    return report


def run_on(
    crashes: int, records: int, processes: int, progress: Path, done: Callable[[Outcome], None] = lambda _: None
) -> SimulationReport:
    """Runs schedules until there were so many crashes, from where an earlier run of this program has ended.

    Args:
        crashes: that there are to be in all runs together.
        records: transactions of a schedule.
        processes: at the same time.
        progress: keeps the figures after every hundred schedules; one of another program or size is begun again.
        done: takes every outcome of this run, as they come.
    """
    same = {"program": program_version(), "records": records}
    report = SimulationReport()
    kept = json.loads(progress.read_text()) if progress.exists() else {}
    if {name: kept.get(name) for name in same} == same:
        failed = [Outcome(**outcome | {"problems": tuple(outcome["problems"])}) for outcome in kept["failed"]]
        report = SimulationReport(**kept["report"] | {"failed": failed})
    while report.crashes < crashes:
        first = report.schedules + 1
        part = run_seeds(range(first, first + _AT_ONCE), records, processes, done)
        report = report.with_more(part)
        counts = {name: value for name, value in vars(report).items() if name != "failed"}
        text = json.dumps(same | {"report": counts, "failed": [asdict(outcome) for outcome in report.failed]})
        progress.parent.mkdir(parents=True, exist_ok=True)
        beside = progress.with_suffix(".part")
        beside.write_text(text)
        beside.replace(progress)
    return report


def _outcomes(seeds: Iterable[int], records: int, processes: int) -> Iterator[Outcome]:
    if processes == 1:
        for seed in seeds:
            yield _outcome(seed, records)
        return
    # Python's own threads are enough for one process; the libraries' would change nothing but the time.
    os.environ.update(_SINGLE_THREADED)
    context = multiprocessing.get_context("spawn")
    waiting = iter(seeds)
    with ProcessPoolExecutor(processes, context, _quiet) as pool:
        running: set[Future[Outcome]] = {
            pool.submit(_outcome, seed, records) for seed in islice(waiting, 2 * processes)
        }
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            running |= {pool.submit(_outcome, seed, records) for seed in islice(waiting, len(finished))}


def _outcome(seed: int, records: int) -> Outcome:
    return outcome_of(Plan(seed, records))


def _quiet() -> None:
    """What the job logs of faults is in the timeline."""
    from embedded.simulation.quiet import silence

    silence()
