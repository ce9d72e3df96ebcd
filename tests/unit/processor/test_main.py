"""What a failed query says in one line, and how a query is let finish."""

from __future__ import annotations

import decimal
import traceback
from pathlib import Path
from typing import Any

import pytest
import structlog

from processor.main import cause_of, finish_batch

PYTHON = """[PYTHON_EXCEPTION] An exception was thrown from the Python worker: Traceback (most recent call last):
  File "commit.py", line 71, in commit
ValueError: first

During handling of the above exception, another exception occurred:

  File "archive.py", line 81, in put_new
botocore.exceptions.ConnectionClosedError: Connection was closed
 SQLSTATE: 38000
\tat org.apache.spark.SparkException: no
"""


def test_the_last_error_of_a_python_traceback_is_the_cause() -> None:
    assert (
        cause_of(PYTHON)
        == "botocore.exceptions.ConnectionClosedError: Connection was closed (archive.py:81, in put_new)"
    )


def report(error: BaseException, library: bool = False) -> str:
    """What Spark says of an exception of a Python worker."""
    text = "".join(traceback.format_exception(error))
    if library:
        text = text.replace(__file__, "/venv/lib/python3.11/site-packages/library.py")
    return (
        "[STREAM_FAILED] Query [id = 5b1f, runId = 0a2c] terminated with exception: Job aborted due to stage failure: "
        "Task 0 in stage 3.0 failed 4 times, most recent failure: Lost task 0.3 in stage 3.0 (TID 9) (vm executor "
        f"driver): org.apache.spark.api.python.PythonException: {text}\n"
        "\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handle(PythonRunner.scala:789)\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)\n\nDriver stacktrace: SQLSTATE: XXKST\n"
    )


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (decimal.Underflow("beyond 1E-130"), "decimal.Underflow: beyond 1E-130"),
        (ValueError("one\n  two\n\tat rest"), "ValueError: one two at rest"),
        (KeyError("card"), "KeyError: 'card'"),
        (StopIteration(), "StopIteration"),
        (SystemExit(3), "SystemExit: 3"),
        (AssertionError(), "AssertionError"),
        (ValueError("x" * 5_000), "ValueError: " + "x" * 488),
    ],
)
def test_an_exception_of_a_worker_is_named_in_one_line_with_its_place(error: BaseException, said: str) -> None:
    cause = cause_of(report(raised(error, raised(OSError("first")))))
    assert cause.startswith(f"{said} (tests/unit/processor/test_main.py:")
    assert cause.endswith(", in raised)")
    assert "\n" not in cause


def test_what_spark_adds_of_its_query_is_no_part_of_the_cause() -> None:
    text = "".join(traceback.format_exception(raised(ValueError("no"))))
    head = "[PYTHON_EXCEPTION] An exception was thrown from the Python worker: "
    query = "=== Streaming Query ===\nIdentifier: [id = 5b1f, runId = 0a2c]\n\nLogical Plan:\n+- ~MapInArrow"
    for tail in (f" SQLSTATE: 38000\n{query}", query):
        assert cause_of(head + text + tail).startswith("ValueError: no (tests/unit/processor/test_main.py:")


def test_without_code_of_ours_the_innermost_place_is_named() -> None:
    cause = cause_of(report(raised(ValueError("no")), library=True))
    assert cause.startswith("ValueError: no (/venv/lib/python3.11/site-packages/library.py:")


def test_of_an_error_of_spark_the_first_line_is_the_cause() -> None:
    assert cause_of("[STREAM_FAILED] Query failed\n\tat org.Spark") == "[STREAM_FAILED] Query failed"


class Query:
    """A query whose source always has more: a batch runs until the source is paused, and two looks longer."""

    isActive = True  # noqa: N815 - Spark's name

    def __init__(self, pause: Path) -> None:
        self._pause = pause
        self.looks_left = 2

    @property
    def status(self) -> dict[str, bool]:
        if self._pause.exists():
            self.looks_left -= 1
        return {"isTriggerActive": self.looks_left >= 0}


def test_the_source_is_paused_and_the_batch_that_runs_is_finished(tmp_path: Path) -> None:
    query: Any = Query(tmp_path / "pause" / "fraud")
    finish_batch(query, tmp_path / "pause" / "fraud", timeout_s=60)
    assert query.looks_left < 0


def test_a_batch_that_takes_too_long_is_left_to_the_next_start(tmp_path: Path) -> None:
    query: Any = Query(tmp_path / "pause")
    query.looks_left = 10**9
    with structlog.testing.capture_logs() as logs:
        finish_batch(query, tmp_path / "pause", timeout_s=0)
    assert [line["event"] for line in logs] == ["batch_interrupted"]
