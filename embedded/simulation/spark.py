"""Spark's contract with the job, without Spark: checkpoint, state stores, stages of tasks, attempts, lost executors.

What is promised, and no more: offsets of a batch are logged once before it runs; each task may be attempted several
times, and an attempt that was given up may still run; a stage's output is lost with the executor that made it; state is
what the batch before had committed (checkpoint format 2: by the id that its commit names); a batch's commit is logged
once, after all of its tasks.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import mmh3

from embedded.simulation.world import Actor, CrashError, Process, World
from fraud.errors import FatalError
from processor.checkpoint_folder import CheckpointFolder
from processor.kinesis_source.offsets import Offsets, to_json

MOST_FAILURES = 4
"""Of a task, before its job fails (`spark.task.maxFailures`)."""

_SEED = 42

Rows = list[tuple[int, str, bytes]]


def partition_of(key_group: int, partitions: int) -> int:
    """Where Spark's exchange sends the rows of a key group."""
    return int(mmh3.hash(struct.pack("<i", key_group), _SEED) % partitions)


@dataclass
class Files:
    """The checkpoint's store, which outlives every process.

    Attributes:
        files: by name.
        states: what each task has committed of a state store, by id.
        since: the call at which a file first was there.
    """

    files: dict[str, str] = field(default_factory=dict)
    states: dict[str, dict[int, GroupState]] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    _numbers: dict[str, list[int]] = field(default_factory=dict)

    def write(self, name: str, text: str, call: int) -> None:
        """Writes a file at a call."""
        log, _, number = name.rpartition("/")
        if log and name not in self.files:
            self._numbers.setdefault(log, []).append(int(number))
        self.files[name] = text
        self.since[name] = call

    def numbers(self, log: str) -> list[int]:
        """The batches in a log, as they were written."""
        return self._numbers.get(log, [])

    def offsets(self, batch_id: int) -> str:
        """How far a batch reads, as JSON."""
        return self.files[f"offsets/{batch_id}"].splitlines()[2]


@dataclass(frozen=True)
class GroupState:
    """The state of a key group in a store: the lists of its log, and the log's head."""

    head: bytes | None = None
    lists: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)


class Checkpoint(CheckpointFolder):
    """A checkpoint as a process reaches it.

    Args:
        world: where it is.
        process: who reaches it.
        store: its files.
    """

    def __init__(self, world: World, process: Process, store: Files) -> None:
        self.address = "checkpoint"
        self._world = world
        self._process = process
        self._store = store

    def make(self) -> str:
        """Begins the checkpoint."""
        self._write("metadata", json.dumps({"id": "checkpoint-1"}), overwrite=False)
        found = self.id()
        assert found is not None
        return found

    def plan(self, batch_id: int, offsets: Offsets, partitions: int) -> None:
        """Logs how far a batch reads, and how many partitions its state lies in."""
        conf = json.dumps({"conf": {"spark.sql.shuffle.partitions": str(partitions)}})
        self._write(f"offsets/{batch_id}", f"v1\n{conf}\n{json.dumps(to_json(offsets))}", overwrite=False)

    # What `pyspark` has for `fraud rescale`, also in place of the session that it is asked for by.

    @property
    def _streamingCheckpointManager(self) -> Checkpoint:  # noqa: N802 - its name there
        return self

    def repartition(self, address: str, partitions: int) -> None:
        """Moves the state to so many partitions by a batch that reads nothing, or goes on with one that was begun."""
        assert address == self.address
        last = max(self._numbers("commits"))
        if self.progress().planned == last:
            self.plan(last + 1, self.offsets(last), partitions)
        moved: dict[str, dict[int, GroupState]] = {}
        for name, state in sorted(self.states_of(last).items()):
            entity = name.partition("/")[0]
            for group, held in self._store.states[state].items():
                moved.setdefault(f"{entity}/{partition_of(group, partitions)}", {})[group] = held
        states = {name: f"moved-{last + 1}-{name}" for name in moved}
        for name, groups in moved.items():
            self._world.call(
                self._process, "state.move", partial(self._store.states.__setitem__, states[name], groups), about=name
            )
        self.commit(last + 1, states)

    def commit(self, batch_id: int, states: dict[str, str]) -> None:
        """Logs that a batch is done, and which state it left."""
        self._write(f"commits/{batch_id}", json.dumps(states), overwrite=False)

    def states_of(self, batch_id: int) -> dict[str, str]:
        """Ids of the state stores after a batch."""
        text = self._read(f"commits/{batch_id}")
        return {} if text is None else dict(json.loads(text))

    def _numbers(self, log: str) -> list[int]:
        return self._world.call(self._process, "checkpoint.list", lambda: list(self._store.numbers(log)), about=log)

    def _read(self, name: str) -> str | None:
        return self._world.call(self._process, "checkpoint.read", lambda: self._store.files.get(name), about=name)

    def _write(self, name: str, text: str, *, overwrite: bool) -> None:
        def write() -> None:
            if name in self._store.files and not overwrite:
                raise FatalError(f"{name} is there already: another query writes to this checkpoint")
            self._store.write(name, text, self._world.calls)

        self._world.call(self._process, "checkpoint.write", write, about=name)


class StateHandle:
    """The state store of a task, as `pyspark.sql.streaming.StatefulProcessorHandle` gives it: a log and its head.

    Args:
        groups: what the batch before committed.
        read: takes note of each time that a list is read.
    """

    def __init__(self, groups: dict[int, GroupState], read: Callable[[], None]) -> None:
        self.groups = dict(groups)
        self.group = 0
        self.read = read

    def getListState(self, name: str, *_: Any) -> _List:  # noqa: N802 - Spark's names
        """A list of the log."""
        return _List(self, name)

    def getValueState(self, *_: Any) -> _Head:  # noqa: N802
        """The log's head."""
        return _Head(self)

    @property
    def state(self) -> GroupState:
        """Of the key group that is handled."""
        return self.groups.get(self.group, GroupState())


class _List:
    def __init__(self, handle: StateHandle, name: str) -> None:
        self._handle = handle
        self._name = name

    def get(self) -> Iterable[tuple[bytes]]:
        entries = self._handle.state.lists.get(self._name, ())
        for place, entry in enumerate(entries):
            if place == len(entries) // 2:
                self._handle.read()
            yield (entry,)

    def appendList(self, entries: Iterable[tuple[bytes]]) -> None:  # noqa: N802
        earlier = self._handle.state.lists.get(self._name, ())
        self._keep((*earlier, *(entry for (entry,) in entries)))

    def clear(self) -> None:
        self._keep(())

    def _keep(self, entries: tuple[bytes, ...]) -> None:
        state = self._handle.state
        self._handle.groups[self._handle.group] = replace(state, lists={**state.lists, self._name: entries})


class _Head:
    def __init__(self, handle: StateHandle) -> None:
        self._handle = handle

    def get(self) -> tuple[bytes] | None:
        head = self._handle.state.head
        return None if head is None else (head,)

    def update(self, value: tuple[bytes]) -> None:
        self._handle.groups[self._handle.group] = replace(self._handle.state, head=value[0])


@dataclass
class Executor:
    """A process that runs tasks.

    Attributes:
        process: dies as a whole.
        host: whose local disk it has.
        lost: the driver has given it up; it may run on for a while.
        kept: what its Python worker keeps between tasks.
    """

    process: Process
    host: str
    lost: bool = False
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether the driver gives it work."""
        return self.process.alive and not self.lost


class WorkerKilledError(CrashError):
    """A task's Python worker died; its executor goes on."""


Task = Callable[[Executor, Any], Any]
"""What an attempt does, with its input."""


@dataclass
class Stage:
    """Runs tasks until each has a result that is not lost.

    Attributes:
        world: where it runs.
        name: in the timeline.
        executor: gives one for the next attempt.
        results: of each task, with the executor that holds it.
    """

    world: World
    name: str
    executor: Callable[[], Executor]
    results: dict[Any, tuple[Executor, Any]] = field(default_factory=dict)

    def run(self, tasks: dict[Any, Task], earlier: Callable[[], Any]) -> dict[Any, Any]:
        """Attempts the tasks; those whose executor is lost are attempted again elsewhere, also when they still run.

        Args:
            tasks: by name.
            earlier: the output of the stage before, asked for whenever an attempt begins.

        Raises:
            FatalError: a task failed too often.
        """
        failures: dict[Any, int] = dict.fromkeys(tasks, 0)
        running: dict[Any, tuple[Executor, Actor]] = {}
        while True:
            held = {task: result for task, (executor, result) in self.results.items() if executor.usable}
            missing = [task for task in tasks if task not in held]
            if not missing:
                return held
            for task in missing:
                if task not in running:
                    given = earlier()
                    executor = self.executor()
                    work = partial(tasks[task], executor, given)
                    running[task] = executor, self.world.start(executor.process, f"{self.name} {task}", work)

            def over() -> bool:
                return any(actor.done or not executor.usable for executor, actor in running.values())

            self.world.wait(over)
            for task, (executor, actor) in list(running.items()):
                if actor.done or not executor.usable:
                    del running[task]
                    self._settle(task, executor, actor, failures)

    def _settle(self, task: Any, executor: Executor, actor: Actor, failures: dict[Any, int]) -> None:
        if not executor.usable:
            return
        if actor.error is None:
            self.results[task] = (executor, actor.result)
            return
        failures[task] += 1
        if failures[task] >= MOST_FAILURES:
            raise FatalError(f"{self.name}/{task} failed {failures[task]} times: {actor.error}") from actor.error
