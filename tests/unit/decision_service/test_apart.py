"""Functions that run in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psutil
import pytest

from decision_service.apart import Apart
from fraud.errors import FatalError, FraudError, MisconfiguredError, RefusedError, UnavailableError

ERRORS = [
    UnavailableError("kinesis", "GetRecords", "ProvisionedThroughputExceededException", "too much", 400),
    RefusedError("kinesis", "PutRecords", "AccessDenied", "no right"),
    MisconfiguredError("stream s", "there is none"),
]


def nothing() -> None:
    """Begins nothing."""


def adds_up() -> Callable[[int], int]:
    """A function with a memory of its own."""
    total = 0

    def add(number: int) -> int:
        nonlocal total
        total += number
        return total

    return add


def failing(error: BaseException) -> Callable[[], None]:
    """A function that raises."""

    def fail() -> None:
        raise error

    return fail


def not_made() -> Callable[[], None]:
    """Fails before there is a function."""
    raise ERRORS[2]


def where() -> Callable[[], int]:
    """Gives the number of the process."""
    return os.getpid


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """A process that the tests share."""
    apart = Apart(nothing, 8)
    yield apart
    apart.close()
    assert apart.pid is not None
    assert not psutil.pid_exists(apart.pid)


def test_a_function_keeps_its_memory_and_runs_elsewhere(apart: Apart) -> None:
    add, place = apart.function(adds_up), apart.function(where)
    assert [add(2), add(3)] == [2, 5]
    assert place() == apart.pid != os.getpid()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_it_was(apart: Apart, error: FraudError) -> None:
    fail = apart.function(partial(failing, error))
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            fail()
        assert (str(caught.value), vars(caught.value)) == (str(error), vars(error))


def test_what_cannot_be_made_and_what_a_library_raised_are_said(apart: Apart) -> None:
    with pytest.raises(MisconfiguredError, match="stream s: there is none"):
        apart.function(not_made)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by nothing"):
        apart.function(partial(failing, ZeroDivisionError("by nothing")))()


def test_the_end_of_the_process_is_fatal() -> None:
    apart = Apart(nothing, 1)
    add = apart.function(adds_up)
    assert apart.pid is not None
    os.kill(apart.pid, signal.SIGKILL)
    with pytest.raises(FatalError, match="exit code -9"):
        add(1)


_LIVES: Any = """
import sys
from decision_service.apart import Apart
from tests.unit.decision_service.test_apart import adds_up, nothing
if __name__ == "__main__":
    apart = Apart(nothing, 1)
    apart.function(adds_up)(1)
    print(apart.pid, flush=True)
    sys.stdin.read()
"""


def test_it_ends_with_the_process_that_began_it() -> None:
    command = [sys.executable, "-c", _LIVES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        other = psutil.Process(int(process.stdout.readline()))
        other.send_signal(signal.SIGTERM)  # as a supervisor sends it to all; it goes on until nobody needs it
        process.kill()
        assert psutil.wait_procs([other], 20)[0] == [other]
