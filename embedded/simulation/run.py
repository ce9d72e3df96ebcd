"""Many schedules, in processes of their own, with what was found."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from adapters.program.version import program_version
from embedded.simulation.plan import Plan
from fraud.errors import MisconfiguredError

_SINGLE_THREADED = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
}

_AT_ONCE = 400
"""Schedules after which processes are replaced: of each, the libraries keep half a megabyte."""

_AHEAD = 4
"""Schedules that wait for each process, so that none waits for the longest."""

_KEEP_EVERY_S = 10.0
"""How often the figures of a long run are kept."""


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
        interrupted: whether it was, before all of them were run.
    """

    schedules: int = 0
    crashes: int = 0
    faults: int = 0
    calls: int = 0
    failed: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    def add(self, outcome: Outcome) -> None:
        """Takes up a schedule."""
        self.schedules += 1
        self.crashes += outcome.crashes
        self.faults += outcome.faults
        self.calls += outcome.calls
        if outcome.problems:
            self.failed.append(outcome)

    @property
    def differences(self) -> int:
        """What is wrong, in all of them."""
        return sum(len(outcome.problems) for outcome in self.failed)

    def figures(self) -> dict[str, Any]:
        """The figures for `--json`."""
        return {
            "schedules": self.schedules,
            "crashes": self.crashes,
            "faults": self.faults,
            "calls": self.calls,
            "differences": self.differences,
            "failed_seeds": sorted(outcome.seed for outcome in self.failed),
            "interrupted": self.interrupted,
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


@dataclass(frozen=True)
class Goal:
    """When a run is done: after so many schedules, or with so many crashes.

    Attributes:
        schedules: that there are to be.
        crashes: that there are to be in all schedules together; instead of `schedules` where it is not None.
    """

    schedules: int = 100
    crashes: int | None = None

    def reached(self, report: SimulationReport) -> float:
        """The share of it that is done."""
        if self.crashes is not None:
            return report.crashes / self.crashes
        return report.schedules / self.schedules

    def most_left(self, report: SimulationReport) -> int:
        """How many schedules there may still be to run."""
        return _AT_ONCE if self.crashes is not None else self.schedules - report.schedules


@dataclass(frozen=True)
class Kept:
    """A file with the figures of a run, from which another one goes on.

    Args:
        file: of the figures.
        first: seed of the run.
        records: transactions of a schedule.
    """

    file: Path
    first: int
    records: int

    @property
    def _same(self) -> dict[str, Any]:
        return {"program": program_version(), "first": self.first, "records": self.records}

    def read(self) -> SimulationReport | None:
        """The figures; None where there are none of this program, first seed and size.

        Raises:
            MisconfiguredError: the file is no such file.
        """
        if not self.file.exists():
            return None
        try:
            kept = json.loads(self.file.read_text())
            if {name: kept["of"][name] for name in self._same} != self._same:
                return None
            failed = [Outcome(**outcome | {"problems": tuple(outcome["problems"])}) for outcome in kept["failed"]]
            return SimulationReport(**kept["report"], failed=failed)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise MisconfiguredError(f"--resume {self.file}", f"holds no figures of a run ({error})") from None

    def write(self, report: SimulationReport) -> None:
        """Keeps the figures, whole or not at all."""
        counts = {name: value for name, value in vars(report).items() if name not in ("failed", "interrupted")}
        text = json.dumps({"of": self._same, "report": counts, "failed": list(map(asdict, report.failed))})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".part")
        beside.write_text(text)
        beside.replace(self.file)


def run_schedules(
    goal: Goal,
    records: int,
    processes: int,
    first: int = 1,
    resume: Path | None = None,
    done: Callable[[Outcome, SimulationReport], None] = lambda *_: None,
) -> SimulationReport:
    """Runs the schedules of one seed after the other until a goal is reached, or Ctrl-C ends it.

    Args:
        goal: when it is done.
        records: transactions of a schedule.
        processes: at the same time; 1 runs them here.
        first: seed.
        resume: keeps the figures; a run of the same program, first seed and size goes on from those that are there.
        done: takes every outcome of this run in the order of the seeds, with the figures so far.

    Raises:
        MisconfiguredError: `resume` is no file of figures.
    """
    kept = None if resume is None else Kept(resume, first, records)
    report = (None if kept is None else kept.read()) or SimulationReport()
    began, before_s, kept_at = time.monotonic(), report.seconds, 0.0
    try:
        while goal.reached(report) < 1:
            seed = first + report.schedules
            for outcome in _outcomes(range(seed, seed + min(_AT_ONCE, goal.most_left(report))), records, processes):
                report.add(outcome)
                report.seconds = before_s + time.monotonic() - began
                if kept is not None and report.seconds - kept_at > _KEEP_EVERY_S:
                    kept.write(report)
                    kept_at = report.seconds
                done(outcome, report)
    except KeyboardInterrupt:
        report.interrupted = True
    if kept is not None:
        kept.write(report)
    return report


def _outcomes(seeds: Iterable[int], records: int, processes: int) -> Iterator[Outcome]:
    """The outcomes of seeds, in their order."""
    if processes == 1:
        for seed in seeds:
            yield _outcome(seed, records)
        return
    # Python's own threads are enough for one process; the libraries' would change nothing but the time.
    os.environ.update(_SINGLE_THREADED)
    context = multiprocessing.get_context("spawn")
    waiting = iter(seeds)
    with ProcessPoolExecutor(processes, context, _prepare) as pool:
        running = deque(pool.submit(_outcome, seed, records) for seed in islice(waiting, _AHEAD * processes))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(_outcome, seed, records) for seed in islice(waiting, 1))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _outcome(seed: int, records: int) -> Outcome:
    return outcome_of(Plan(seed, records))


def _prepare() -> None:
    """Makes a process ready for many schedules."""
    import embedded.simulation.schedule
    import embedded.simulation.verify  # noqa: F401 - before what is there is kept from the collections
    from embedded.simulation.quiet import silence

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    silence()  # what the job logs of faults is in the timeline
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
