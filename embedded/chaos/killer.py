"""Streams through a local stack, kills its parts at random instants, starts them again, and waits for the end."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple, TypeVar

import psutil

from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from embedded.chaos.fault_proxy import FaultProxy, Moment
from embedded.chaos.intruder import Intruder
from embedded.chaos.object_store import ObjectStore
from embedded.chaos.oracle import read_stream
from embedded.child import Child
from embedded.stack import LocalStack
from fraud.errors import FatalError

TARGETS = {
    "commit": "the whole job inside a commit",
    "worker": "one Python worker",
    "driver": "the whole job",
    "endpoint": "the model endpoint",
    "store": "the store of objects",
}
"""What is killed, by name; a run of few kills takes the first."""


class Instant(NamedTuple):
    """An instant inside a commit, by the call of the sink that it meets.

    Attributes:
        call: part of the path or target of the call.
        done: killed after the call was done and before it is answered; otherwise before it is done.
        words: for people.
    """

    call: str
    done: bool
    words: str


INSTANTS = (
    Instant("/pins/", False, "before its batch was pinned"),
    Instant("/pins/", True, "after its batch was pinned"),
    Instant("/decisions/", False, "before decisions were stored"),
    Instant("/decisions/", True, "after decisions were stored"),
    Instant("BatchExecuteStatement", True, "after alerts were put"),
    Instant("/dead-letters/", True, "after dead letters were stored"),
)

_RATE_PER_S = 40
_BAD_RECORDS = (b"not json", b'{"schema_version": 1}', b'{"schema_version": 99}')
_READY_S = 300.0
_STALL_S = 300.0
_POLL_S = 0.05
_LONGEST_OUTAGE_S = 4.0

Done = TypeVar("Done")


class Killer:
    """One run.

    Args:
        stack: entered, without a job yet.
        store: where the job's objects lie.
        proxy: before the emulators, for the job.
        rng: of targets and instants.
        start_date: first day of event times.
        note: takes each step in words.
        intruder: mixes in hostile inputs; None for a run without.
    """

    def __init__(
        self,
        stack: LocalStack,
        store: ObjectStore,
        proxy: FaultProxy,
        rng: random.Random,
        start_date: dt.date,
        note: Callable[[str], None],
        intruder: Intruder | None = None,
    ) -> None:
        self._intruder = intruder
        self._stack = stack
        self._store = store
        self._proxy = proxy
        self._rng = rng
        self._start_date = start_date
        self._note = note
        self._archive = open_archive(stack.settings.archive, stack.settings.aws)
        self._writer = KinesisWriter(stack.settings.streams.transactions, stack.settings.aws)
        self._job: Child | None = None

    def run(self, kills: int) -> Counter[str]:
        """Streams and kills, waits until everything is stored, and stops the job as its operator would.

        Returns:
            How often each target was killed.

        Raises:
            FatalError: the job did not start again, or stored nothing any more.
        """
        return Counter(self._meanwhile(lambda: self._kills(kills)))

    def rescale(self, partitions: int) -> float:
        """Streams, moves the state to so many partitions while records keep arriving, and ends as `run` does.

        Returns:
            Seconds from the order to stop until the job ran again.

        Raises:
            FatalError: the state was not moved, or the job stored nothing any more.
        """
        return self._meanwhile(lambda: self._rescale(partitions))

    def _rescale(self, partitions: int) -> float:
        self._disturb()
        self._await_new_object()
        began = time.monotonic()
        self._running.stop(grace_s=90)
        self._note("the job stopped")
        moving = self._stack.rescale(partitions)
        if moving.wait(_READY_S) != 0:
            raise FatalError(f"the state was not moved: {moving.last_words()}")
        self._note(f"the state lies in {partitions} partitions")
        self._start_again()
        seconds = time.monotonic() - began
        self._await_new_object()
        self._disturb()
        self._await_new_object()
        return seconds

    def _kills(self, kills: int) -> list[str]:
        possible = [target for target in TARGETS if target != "endpoint" or self._stack.endpoint is not None]
        targets = [possible[number % len(possible)] for number in range(kills)]
        self._rng.shuffle(targets)
        self._kill_each(targets, iter(self._instants(targets.count("commit"))))
        return targets

    def _meanwhile(self, do: Callable[[], Done]) -> Done:
        """Does something while the job runs and records arrive; then waits until all is stored, and stops the job."""
        self._job = self._stack.start_job()
        population = ["--cards", "300", "--merchants", "100", "--start-date", f"{self._start_date:%Y-%m-%d}"]
        endless = ["--num-transactions", "0", "--rate", str(_RATE_PER_S)]
        producer = self._stack.start_producer("producer", [*population, *endless])
        self._await_new_object()
        with nullcontext() if self._intruder is None else self._intruder.editing():
            done = do()
        producer.interrupt()
        producer.wait(60)
        self._note("producer has ended")
        self._settle()
        self._running.stop(grace_s=90)
        if self._running.exit_code != 0:
            raise FatalError(f"the job was asked to stop and ended with exit code {self._running.exit_code}")
        self._note("the job stopped when asked, exit code 0")
        return done

    def _kill_each(self, targets: list[str], instants: Iterator[Instant]) -> None:
        for target in targets:
            self._disturb()
            self._await_new_object()
            time.sleep(self._rng.uniform(0.0, 4.0))  # so that a kill can meet any phase of a batch
            if target == "driver":
                self._kill_driver()
            elif target == "worker":
                self._kill_worker()
            elif target == "commit":
                self._kill_commit(next(instants))
            elif target == "endpoint":
                self._kill_endpoint()
            else:
                self._kill_store()
        self._disturb()

    def _instants(self, count: int) -> list[Instant]:
        """All instants in random order, as often as needed."""
        rounds = -(-count // len(INSTANTS))
        return [instant for _ in range(rounds) for instant in self._rng.sample(INSTANTS, len(INSTANTS))]

    @property
    def _running(self) -> Child:
        assert self._job is not None
        return self._job

    def _disturb(self) -> None:
        """Puts records on the stream that must end as dead letters: bad ones, and some that are there already."""
        settings = self._stack.settings
        seen = read_stream(settings, settings.streams.transactions)
        data = seen["data"].to_pylist()
        repeated = data[-20::4]
        self._writer.write([StreamRecord(str(self._rng.random()), data) for data in [*_BAD_RECORDS, *repeated]])
        if self._intruder is not None:
            self._intruder.send(data)

    def _await_new_object(self) -> None:
        before = self._decision_objects()
        deadline = time.monotonic() + _READY_S
        while self._decision_objects() <= before:
            self._require_running()
            if time.monotonic() > deadline:
                raise FatalError(f"the job stored nothing for {_READY_S:.0f} s: {self._running.last_words()}")
            time.sleep(_POLL_S)

    def _decision_objects(self) -> int:
        return sum(1 for _ in self._archive.keys(ArchiveKind.DECISIONS.prefix))

    def _require_running(self) -> None:
        if self._running.exit_code is not None:
            raise FatalError(f"the job ended: {self._running.last_words()}")

    def _kill_driver(self) -> None:
        self._running.kill()
        self._note("killed the job: driver, JVM and workers")
        self._start_again()

    def _kill_commit(self, instant: Instant) -> None:
        moment = Moment(instant.call, instant.done, self._running.kill)
        self._proxy.await_moment(moment)
        self._disturb()
        deadline = time.monotonic() + _READY_S
        while not moment.passed.wait(_POLL_S):
            if time.monotonic() > deadline:
                raise FatalError(f"the job made no call of {instant.call} for {_READY_S:.0f} s")
        self._note(f"killed the job inside a commit: {instant.words}")
        self._start_again()

    def _start_again(self) -> None:
        self._job = self._stack.start_job()
        self._note("the job runs again")

    def _kill_worker(self) -> None:
        workers = [process for process in psutil.Process(self._running.pid).children(recursive=True) if _works(process)]
        if not workers:
            raise FatalError("the job has no Python worker")
        self._rng.choice(workers).kill()
        self._note(f"killed one of {len(workers)} Python workers")

    def _kill_endpoint(self) -> None:
        endpoint = self._stack.endpoint
        assert endpoint is not None
        endpoint.kill()
        self._note("killed the model endpoint")
        self._await_new_object()
        endpoint.start()
        endpoint.await_ready()
        self._note("the endpoint answers again; meanwhile the job stored decisions")

    def _kill_store(self) -> None:
        self._store.kill()
        self._note("killed the store of objects")
        time.sleep(self._rng.uniform(0.0, _LONGEST_OUTAGE_S))
        self._store.start()
        self._note("the store answers again")

    def _settle(self) -> None:
        """Waits until every record of the streams is stored, or nothing has moved for a while."""
        settings = self._stack.settings
        sent = sum(
            read_stream(settings, name).num_rows for name in (settings.streams.transactions, settings.streams.labels)
        )
        rows: dict[str, int] = {}
        moved_at = time.monotonic()
        while sum(rows.values()) < sent:
            new = [key for kind in ArchiveKind for key in self._archive.keys(kind.prefix) if key not in rows]
            for key in new:
                rows[key] = self._archive.read_table(key, ["sequence_number"]).num_rows
            if new:
                moved_at = time.monotonic()
            self._require_running()
            if time.monotonic() - moved_at > _STALL_S:
                self._note(f"nothing moved for {_STALL_S:.0f} s with {sent - sum(rows.values())} records missing")
                return
            time.sleep(_POLL_S)
        self._note(f"all {sent} records are stored")


def _works(process: psutil.Process) -> bool:
    try:
        return any("pyspark.daemon" in part or "pyspark.worker" in part for part in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
