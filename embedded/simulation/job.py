"""The job in the simulated world: its own classes put together for one start, on Spark's contract.

What may die or be cut off at a call of the job:

    job        driver and executors die; the supervisor starts the job again
    driver     the same, at a call of the driver
    executor   the executor that calls dies, with its local disk or without
    worker     the Python worker that calls dies, in the middle of its task
    lost       the executor is cut off from the driver and runs on for a while, beside the attempt that replaces it
    fenced     the driver is cut off from its supervisor and runs on for a while, beside the job that replaces it
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql.streaming.datasource import ReadMaxRows

from adapters.alerts.table import AlertTable
from adapters.archive.archive import Archive
from adapters.archive.offset_notes import OffsetNotes
from adapters.archive.pins import Pins
from adapters.model.endpoint_usage import EndpointUsage
from adapters.objects.s3 import S3Objects
from adapters.policy.source import PolicyFiles, PolicySource
from embedded.simulation.clients import Client
from embedded.simulation.plan import draw
from embedded.simulation.runtime import SimulatedRuntime
from embedded.simulation.services import Services
from embedded.simulation.spark import (
    Checkpoint,
    Executor,
    Rows,
    Stage,
    StateHandle,
    Task,
    WorkerKilledError,
    partition_of,
)
from embedded.simulation.world import CrashError, Inline, Process, World
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.entities import Entity, measured
from fraud.errors import ServiceError
from fraud.features import CATALOGUE, SHIPPED
from fraud.settings import Settings
from processor.decode_stage import DecodeStage
from processor.envelope import ROW_SCHEMA, row_batch
from processor.keyed_state import local_copy
from processor.keyed_state.stateful import EntityProcessor
from processor.kinesis_source.offsets import from_json, to_json
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import HeldRows, KinesisStreamReader, ShardRange
from processor.kinesis_source.rows import ROW_SCHEMA as SOURCE_SCHEMA
from processor.run import Run
from processor.scoring import Scoring
from processor.sink.assemble import assemble
from processor.sink.commit import PartitionCommitter
from processor.start import begin

DRIVER_CRASHES = ("driver", "driver", "fenced")
EXECUTOR_CRASHES = ("job", "executor", "worker", "lost")
_FIELDS = fields_of(CATALOGUE)
_ATTEMPTS = 5
_EXECUTORS = 2
_COMPILED: dict[tuple[str, str], CompiledPolicy] = {}


@dataclass
class Reach:
    """How a process of the world reaches everything outside of it."""

    world: World
    services: Services
    process: Process
    settings: Settings

    def client(self, service: str, attempts: int = _ATTEMPTS) -> Client:
        """A client of a service."""
        return Client(self.world, self.process, service, self.services.double(service), attempts)

    def archive(self) -> Archive:
        """The archive."""
        return Archive(self.objects(f"s3://{self.settings.archive.bucket}/{self.settings.archive.prefix}"))

    def objects(self, address: str) -> S3Objects:
        """Objects below an address."""
        return S3Objects(address, self.settings.aws, _ATTEMPTS, client=self.client("s3"), backoff=self.world.backoff)

    def alerts(self) -> AlertTable:
        """The alert table."""
        return AlertTable(
            self.settings.alerts,
            self.settings.aws,
            _ATTEMPTS,
            backoff=self.world.backoff,
            clock=lambda: self.world.now_ms / 1000,
            client=self.client("dynamodb"),
            pool=Inline(),
        )

    def policies(self, query: str) -> PolicySource:
        """The policy in force."""
        pins = Pins(self.archive(), query)
        return PolicySource(
            PolicyFiles(self.objects("s3://policy/"), "policy.yaml"),
            lambda bundle: _compiled(bundle, self.settings.money.base_currency),
            pins.last_policy,
        )

    def reader(self, options: Options) -> KinesisStreamReader:
        """The source."""
        return KinesisStreamReader(
            options, self.client("kinesis", attempts=1), SimulatedRuntime(self.world, self.process)
        )


class _Decode(DecodeStage):
    def __init__(self, run: Run, archive: Archive) -> None:
        super().__init__(run)
        object.__setattr__(self, "_own", archive)

    def _archive(self) -> Archive:
        return self._own  # type: ignore[attr-defined, no-any-return]


class _Folding(EntityProcessor):
    """Names versions of state by the seed; the last place in a fold at which its process may die."""

    def __init__(self, entity: Entity, run: Run, batch: int, new_token: Callable[[], bytes]) -> None:
        super().__init__(entity, run, batch=lambda: batch)
        self._new_token = new_token

    def new_token(self) -> bytes:
        return self._new_token()


@dataclass
class Job:
    """One start of the job.

    Args:
        world: where it runs.
        services: what it reaches.
        settings: of this start.
        number: of the start.
        disks: of hosts: what local copies outlive.

    Attributes:
        driver: its process.
        executors: those in use.
        over: why it has ended; empty while it runs.
    """

    world: World
    services: Services
    settings: Settings
    number: int
    disks: Path
    driver: Process = field(init=False)
    executors: list[Executor] = field(default_factory=list)
    fenced: bool = False
    over: str = ""

    def __post_init__(self) -> None:
        self.driver = Process(f"job-{self.number}", DRIVER_CRASHES, on_crash=self._crash)
        self._drawn = self._started = self._turn = 0
        self._reach = Reach(self.world, self.services, self.driver, self.settings)
        self._checkpoint = Checkpoint(self.world, self.driver, self.services.checkpoint)
        self._options = Options(
            (self.settings.streams.transactions, self.settings.streams.labels),
            self.settings.aws.region,
            start="earliest",
            max_records=self.settings.job.max_records_per_trigger,
            poll_ms=1_000,
        )

    def run(self) -> None:
        """Runs batches until the job fails or its process ends."""
        try:
            self._run()
        except Exception as error:
            self.over = f"{type(error).__name__}: {error}"
        except CrashError:
            self.over = "killed"
            raise
        finally:
            self.end()

    def end(self) -> None:
        """Ends the job's processes, but for executors that are cut off: they do not know."""
        self.driver.alive = False
        for executor in self.executors:
            if not executor.lost:
                self._forget_maps(executor)
                executor.process.alive = False

    def _run(self) -> None:
        archive, checkpoint = self._reach.archive(), self._checkpoint
        self._reach.policies(self.settings.job.query)
        run_id = f"{draw(self.world.seed, self.number, 41):016x}"
        run = begin(checkpoint, archive, self.settings, "simulated", run_id)
        notes = OffsetNotes(archive, self.settings.job.query, self.world.time_ms, run.number_of)
        if checkpoint.progress().planned < 0:
            notes.leave(0, {})
        self.world.say(self.driver, "start", f"resumes {run.resumed.batch_id}" if run.resumed else "")
        reader = self._reach.reader(self._options)
        progress = checkpoint.progress()
        batch_id, planned = progress.committed + 1, progress.planned
        before = to_json(checkpoint.offsets(batch_id - 1)) if batch_id else {}
        while True:
            if planned >= batch_id:
                until = to_json(checkpoint.offsets(batch_id))
            else:
                until = reader.latestOffset(before, ReadMaxRows(self._options.max_records))
                if until == before:
                    self.world.sleep(self.settings.job.trigger_ms / 1000)
                    continue
                checkpoint.plan(batch_id, from_json(until), self.settings.job.partitions)
                planned = batch_id
            made = self._run_batch(run, batch_id, reader.partitions(before, until))
            self.services.noticed[batch_id] = sum((Counter(one.noticed) for one in made.values()), Counter())
            checkpoint.commit(batch_id, {name: one.state for name, one in made.items()})
            counts = {"/".join(place): position.records or 0 for place, position in from_json(until).items()}
            try:
                notes.leave(batch_id + 1, counts)
            except ServiceError as error:  # as the observer of progress does
                self.world.say(self.driver, "note not left", str(error)[:80])
            reader.commit(until)
            before, batch_id = until, batch_id + 1
            self.world.sleep(self.settings.job.trigger_ms / 1000)

    def _run_batch(self, run: Run, batch_id: int, parts: Iterable[HeldRows | ShardRange]) -> dict[str, Made]:
        """Runs a batch's stages; what the tasks of the stateful ones made, by stage and partition."""
        entities = list(measured(self.settings.job))
        based_on = self._checkpoint.states_of(batch_id - 1)
        decoding = Stage(self.world, f"{batch_id} decode", self._next_executor)
        decode = {place: partial(self._decode, run, batch_id, part) for place, part in enumerate(parts)}
        rows: Callable[[], list[Rows]] = partial(_outputs, decoding, decode, list)
        folding = []
        for entity in entities:
            stage = Stage(self.world, f"{batch_id} {entity.name}", self._next_executor)
            fold: dict[Any, Task] = {
                f"{entity.name}/{number}": partial(self._fold, run, batch_id, entity, number, based_on)
                for number in range(self.settings.job.partitions)
            }
            if entity is not entities[-1]:
                rows = partial(_outputs, stage, fold, rows)
            else:
                stage.run(fold, rows)
            folding.append(stage)
        return {name: made for stage in folding for name, (_, made) in stage.results.items()}

    # Tasks

    def _decode(self, run: Run, batch_id: int, part: HeldRows | ShardRange, executor: Executor, _: Any) -> Made:
        reach = self._reach_of(executor)
        # Spark hands on the rows of a part together, whatever the batches of the source.
        read = (
            pa.Table.from_batches(reach.reader(self._options).read(part), SOURCE_SCHEMA).combine_chunks().to_batches()
        )
        return Made([row for batch in _Decode(run, reach.archive()).rows(batch_id, read) for row in _rows(batch)])

    def _fold(
        self,
        run: Run,
        batch_id: int,
        entity: Entity,
        number: int,
        based_on: dict[str, str],
        executor: Executor,
        inputs: list[Rows],
    ) -> Made:
        """The task of a stateful stage; in the last one the sink takes what it gives."""
        name, reach = f"{entity.name}/{number}", self._reach_of(executor)
        rows: dict[int, list[tuple[str, bytes]]] = {}
        for group, kind, payload in (row for output in inputs for row in output):
            if partition_of(group, self.settings.job.partitions) == number:
                rows.setdefault(group, []).append((kind, payload))

        def local(what: str) -> None:
            self.world.call(executor.process, what, lambda: None, local=True, about=name)

        def new_token() -> bytes:
            local("state.fold")
            return self._fresh().to_bytes(16, "big")

        handle = StateHandle(
            self.services.checkpoint.states.get(based_on.get(name, ""), {}), lambda: local("state.log")
        )
        processor = _Folding(entity, self._run_on(run, executor), batch_id, new_token)
        processor.init(handle)
        made: Rows = []
        for group in sorted(rows):
            handle.group = group
            made += processor.advance(group, processor.receive(rows[group]))
        state = f"{self._fresh():016x}"

        def keep() -> None:
            self.services.checkpoint.states[state] = handle.groups

        self.world.call(executor.process, "state.commit", keep, about=f"{batch_id} {name}")
        if processor.step().next is None:
            assembled = assemble([row_batch(made)] if made else [], SHIPPED)
            committed = self._committer(run, executor, reach).commit(batch_id, number, assembled)
            return Made([], state, committed.notes)
        return Made(made, state)

    def _committer(self, run: Run, executor: Executor, reach: Reach) -> PartitionCommitter:
        """That of the executor's Python worker, which keeps it over many tasks."""
        if "committer" not in executor.kept:
            executor.kept["committer"] = PartitionCommitter(
                run,
                reach.archive(),
                [reach.alerts()],
                Scoring(RulesOnly(), None, EndpointUsage()),
                reach.policies(self.settings.job.query),
                clock=self.world.monotonic,
                now_ms=self.world.time_ms,
            )
        return executor.kept["committer"]  # type: ignore[no-any-return]

    def _run_on(self, run: Run, executor: Executor) -> Run:
        """The run as it looks on the executor's machine, which has a disk of its own."""
        job = run.settings.job.model_copy(update={"state_folder": str(self.disks / executor.host)})
        return run.model_copy(update={"settings": run.settings.model_copy(update={"job": job})})

    def _reach_of(self, executor: Executor) -> Reach:
        return Reach(self.world, self.services, executor.process, self.settings)

    def _fresh(self) -> int:
        self._drawn += 1
        return draw(self.world.seed, self._drawn, 1_000 + self.number)

    # Executors

    def _next_executor(self) -> Executor:
        """One of those in use, in turn; lost ones are replaced, on their machine or another."""
        while len([executor for executor in self.executors if executor.usable]) < _EXECUTORS:
            self._started += 1
            name = f"executor-{self.number}.{self._started}"
            host = f"host-{draw(self.world.seed, self._started, 2_000 + self.number) % (_EXECUTORS + 1)}"
            process = Process(name, EXECUTOR_CRASHES)
            executor = Executor(process, host)
            process.on_crash = partial(self._crash_executor, executor)
            self.executors.append(executor)
        usable = [executor for executor in self.executors if executor.usable]
        self._turn += 1
        return usable[self._turn % len(usable)]

    def _crash(self, what: str) -> None:
        if what == "fenced":
            self.fenced = True
        else:
            self.end()

    def _crash_executor(self, executor: Executor, what: str) -> None:
        if what == "job":
            self.end()
            return
        self._forget_maps(executor)
        if what == "worker":
            executor.kept.clear()
            raise WorkerKilledError(executor.process.name)
        if what == "lost":
            executor.lost = True
            return
        executor.process.alive = False
        if draw(self.world.seed, self.world.calls, 51) & 1:  # its disk is gone, too
            shutil.rmtree(self.disks / executor.host, ignore_errors=True)

    def _forget_maps(self, executor: Executor) -> None:
        """What a process had mapped is gone with it."""
        forget_maps(self.disks / executor.host)


def forget_maps(folder: Path) -> None:
    """Forgets the local copies below a folder that this process has open."""
    for place in [place for place in local_copy._opened if folder in place.parents]:
        del local_copy._opened[place]


class Made(NamedTuple):
    """What a task gives.

    Attributes:
        rows: for the next stage.
        state: id of the state that it committed.
        noticed: what it reports that was noticed.
    """

    rows: Rows
    state: str = ""
    noticed: Mapping[str, int] = MappingProxyType({})


def _compiled(bundle: PolicyBundle, base_currency: str) -> CompiledPolicy:
    """A policy, compiled once: schedules have the same few, and processes of a schedule need many copies of each."""
    key = bundle.version, base_currency
    if key not in _COMPILED:
        _COMPILED[key] = compile_policy(bundle, _FIELDS, base_currency)
    return _COMPILED[key]


def _outputs(stage: Stage, tasks: dict[Any, Any], earlier: Callable[[], Any]) -> list[Rows]:
    """The rows of a stage, some of which may have to be made again."""
    return [made.rows for made in stage.run(tasks, earlier).values()]


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[int, str, bytes]]:
    return zip(*(batch[name].to_pylist() for name in ROW_SCHEMA.names), strict=True)
