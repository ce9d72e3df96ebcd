"""One JVM and one Spark session for all tests of a worker; what a command of ours ends, the next test opens again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from fraud.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def spark(_spark_ends: None) -> SparkSession:
    from processor.session import open_session

    return open_session(Settings())


@pytest.fixture(scope="package")
def _spark_ends() -> Iterator[None]:
    from pyspark.sql import SparkSession

    yield
    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()
