"""What a failed query says in one line."""

from __future__ import annotations

from processor.main import cause_of

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
    assert cause_of(PYTHON) == "botocore.exceptions.ConnectionClosedError: Connection was closed"


def test_of_an_error_of_spark_the_first_line_is_the_cause() -> None:
    assert cause_of("[STREAM_FAILED] Query failed\n\tat org.Spark") == "[STREAM_FAILED] Query failed"
