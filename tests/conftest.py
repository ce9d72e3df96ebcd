"""What holds for all tests: one group of tests a worker, emulators ended, time by folder; see CONTRIBUTING.md.

Idle threads of OpenMP wait instead of spinning, as in every program of ours (`adapters.program.program`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from _pytest.terminal import TerminalReporter
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

from console.users import matches
from tests.support.calendar import DAYS_LATER, FIRST_DAY
from tests.support.emulators import EMULATORS

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).parent

TOGETHER = {
    "e2e/test_chaos.py": "chaos",  # half the time of all that start a whole stack, and most of it waits
    "e2e": "e2e",  # the demos share a run folder; more than two stacks at a time would starve each other on two cores
    "browser": "browser",  # one Chromium and one emulator
}
"""Files and folders whose tests share something costly or exclusive, so that one worker runs them; elsewhere each file
is such a group, but for those that start Spark, which share a JVM."""

FIRST = ("chaos", "e2e", "spark", "integration", "browser")
"""Groups and folders with the longest tests, so that no worker begins one when the others are nearly through."""


def pytest_configure(config: pytest.Config) -> None:
    """Tests run in random order, but chance inside a test is the test's own: its seeds are in it, Hypothesis draws."""
    config.option.randomly_reset_seed = False


@pytest.fixture(autouse=True, scope="session")
def _passwords_compared_once() -> Iterator[None]:
    """Hashing a password takes a quarter of a second on purpose; hundreds of tests sign in with the same few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.access.matches", cache(matches))
        yield


@pytest.fixture(autouse=True)
def _logs_as_by_default() -> Iterator[None]:
    """A program that a test runs in this process sets up logs; the next test meets them as they were."""
    yield
    structlog.reset_defaults()


def pytest_report_header() -> str:
    """Says where generated traffic begins."""
    moved = f", moved by TEST_DAYS_LATER={DAYS_LATER}" if DAYS_LATER else ""
    return f"first day of generated traffic: {FIRST_DAY}{moved}"


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each group of tests to one worker. Groups by marker would need ids of tests that pytest no longer has."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(file_of(nodeid))

    def _reschedule(self, node: WorkerController) -> None:
        """Gives a worker another group with the last test of its own, not one earlier: a test may take minutes."""
        if self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


@cache
def group_of(file: str) -> str:
    """The group of a file's tests.

    >>> group_of("e2e/test_chaos.py"), group_of("e2e/test_demo.py")
    ('chaos', 'e2e')
    >>> group_of("integration/test_session.py"), group_of("test_producer.py")
    ('spark', 'test_producer.py')
    """
    for place, name in TOGETHER.items():
        if file.startswith(place):
            return name
    return "spark" if "pytest.mark.spark" in (ROOT / file).read_text() else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """See `Groups`."""
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the long tests first, after all were shuffled."""
    items.sort(key=lambda item: rank_of(item.nodeid))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names bytes by their argument: what compressed them may have put the time into them, and two workers that collect
    in different seconds would then hold different tests, which ends the run.
    """
    return argname if isinstance(val, bytes) else None


def rank_of(nodeid: str) -> int:
    """How early a test is run: the place of its group or folder in `FIRST`.

    >>> [rank_of(f"tests/{file}::test_x") for file in ("e2e/test_demo.py", "integration/test_session.py")]
    [1, 2]
    >>> rank_of("tests/test_producer.py::test_x") == len(FIRST)
    True
    """
    names = group_of(file_of(nodeid)), folder_of(nodeid)
    return next((rank for rank, first in enumerate(FIRST) if first in names), len(FIRST))


def file_of(nodeid: str) -> str:
    """A test's file, below `tests`.

    >>> file_of("tests/e2e/test_demo.py::test_x")
    'e2e/test_demo.py'
    """
    return nodeid.partition("::")[0].removeprefix("tests/")


def folder_of(nodeid: str) -> str:
    """The kind of a test; one that lies in no folder is named for its file.

    >>> folder_of("tests/unit/fraud/test_x.py::test_y"), folder_of("tests/test_x.py::test_y")
    ('unit', 'test_x')
    """
    return nodeid.partition("::")[0].split("/")[1].removesuffix(".py")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Says how long each kind of test took, fixtures included, and how many cases the fuzzers tried."""
    tests, seconds = defaultdict[str, set[str]](set), defaultdict[str, float](float)
    cases: dict[str, object] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                tests[folder_of(report.nodeid)].add(report.nodeid)
                seconds[folder_of(report.nodeid)] += report.duration
                if (tried := dict(report.user_properties).get("cases")) is not None:
                    cases[report.nodeid] = tried
    if cases:
        terminalreporter.section("cases tried", sep="-")
    for nodeid, count in sorted(cases.items()):
        terminalreporter.write_line(f"{count:>12,} {nodeid.partition('::')[2]}")
    if tests:
        terminalreporter.section("time by folder", sep="-")
    for folder in sorted(tests, key=lambda name: -seconds[name]):
        terminalreporter.write_line(f"{folder:<12} {len(tests[folder]):>6,} tests {seconds[folder]:>8.1f} s")


def pytest_sessionfinish() -> None:
    """Ends the emulators of this process."""
    EMULATORS.close()
