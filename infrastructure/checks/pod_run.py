"""The job on a local stack, but started as a pod of its image starts it: fed in portions, killed, stopped, compared."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import psutil
import pyspark

from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from embedded.chaos.stores import compare_stores
from embedded.child import Child
from embedded.stack import LocalStack
from fraud.errors import FatalError
from fraud.settings import Measured

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "infrastructure" / "images"
_PORTION = 600
"""Transactions of a portion."""

_POPULATION = ("--cards", "200", "--merchants", "80", "--start-date", "2024-03-01")
_DONE_S = 600.0
_STOP_S = 120.0
_ENTITIES = {"card": Measured(), "merchant": Measured()}
"""Two stages show what becomes of a job when its pod ends; a third one only takes longer."""

_LATE = "Python worker failed to connect back"
"""What ends a start on a machine so busy that a Python process does not answer within the ten seconds that Spark gives
it. The operator starts such a driver again."""

_STARTS = 3


class PodRun:
    """One job and its starts: a context at whose end it runs no more.

    Args:
        stack: entered, without a job.
        options: of Spark, which a pod finds in its properties.
        checkpoint: folder or URL.
        master: where the executors run.
    """

    def __init__(
        self, stack: LocalStack, options: Mapping[str, str], checkpoint: str, master: str = "local[2]"
    ) -> None:
        settings = stack.settings
        job = settings.job.model_copy(update={"checkpoint": checkpoint, "entities": _ENTITIES})
        model = settings.model.model_copy(update={"artifact": str(ROOT / settings.model.artifact)})
        stack.settings = settings.model_copy(update={"job": job, "model": model})
        stack.write_settings(stack.settings)
        self._stack = stack
        self._archive = open_archive(settings.archive, settings.aws)
        here = {"spark.master": master, "spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1"}
        self._properties = here | dict(options)
        self._jobs: list[Child] = []
        self._portions = 0

    def __enter__(self) -> PodRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs:
            job.kill()

    @property
    def command(self) -> list[str]:
        """What a pod of the driver runs."""
        properties = self._stack.folder / "spark.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties.items()))
        arguments = ["driver", "--properties-file", str(properties), "--class", "org.apache.spark.deploy.PythonRunner"]
        program = [f"local://{ROOT / 'processor' / 'main.py'}", "--config", str(self._stack.settings_file)]
        return [str(IMAGES / "job.sh"), *arguments, *program]

    def start(self) -> None:
        """Starts the job and waits until its query runs."""
        self._begin()
        self._await(self._stack.await_job)

    def _begin(self) -> None:
        environment = os.environ | {
            "SPARK_HOME": str(_spark_home(self._stack.folder)),
            "SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
        }
        self._jobs.append(Child(f"job-{len(self._jobs)}", self.command, self._stack.folder, environment))

    def _await(self, wait: Callable[[Child], None]) -> None:
        """Waits for the job; one whose start was late is started again, as the operator does."""
        for start in range(1, _STARTS + 1):
            try:
                wait(self._job)
                break
            except FatalError:
                if self._job.exit_code is None or not self._job.said(_LATE) or start == _STARTS:
                    raise
                self._begin()

    def feed(self) -> None:
        """Sends the next portion; returns when all sent so far is decided.

        Raises:
            FatalError: the job ended, or did not decide it.
        """
        self.send()
        self._await(lambda job: job.wait_until(lambda: self._decided() >= self._portions * _PORTION, _DONE_S))

    def send(self) -> None:
        """Sends the next portion."""
        skip = ["--num-transactions", str(_PORTION), "--skip", str(self._portions * _PORTION)]
        producer = self._stack.start_producer(f"portion-{self._portions}", [*_POPULATION, *skip])
        self._portions += 1
        if producer.wait(_DONE_S):
            raise FatalError(f"the producer failed: {producer.last_words()}")

    def kill(self) -> None:
        """Ends driver, JVM and workers at once."""
        self._job.kill()

    def stop(self) -> None:
        """Stops the job by SIGTERM, as its pod is stopped.

        Raises:
            FatalError: it did not end by itself, in order, with exit code 0.
        """
        self._job.stop(_STOP_S)
        if self._job.exit_code != 0 or not self._job.said("query_stopped"):
            raise FatalError(f"SIGTERM ended the job with exit code {self._job.exit_code}: {self._job.last_words()}")

    def executors(self) -> list[psutil.Process]:
        """Executors that are processes of their own."""
        children = psutil.Process(self._job.pid).children(recursive=True)
        return [each for each in children if any("CoarseGrainedExecutorBackend" in word for word in each.cmdline())]

    def problems(self) -> list[str]:
        """Where what is stored is not what was sent, decided once and as one process decides it."""
        return [
            f"{name}: {found.lost} lost, {found.duplicated} duplicated, {found.different} different: {found.examples}"
            for name, found in compare_stores(self._stack.settings).items()
            if found.lost or found.duplicated or found.different
        ]

    @property
    def _job(self) -> Child:
        return self._jobs[-1]

    def _decided(self) -> int:
        return sum(
            self._archive.read_table(key, ["sequence_number"]).num_rows
            for key in self._archive.keys(ArchiveKind.DECISIONS.prefix)
        )


def _spark_home(folder: Path) -> Path:
    """Spark as it is installed, in a folder of its own, as workers of Spark's write to theirs."""
    home = folder / "spark"
    if not home.exists():
        home.mkdir()
        for entry in Path(pyspark.__file__).parent.iterdir():
            (home / entry.name).symlink_to(entry)
    return home
