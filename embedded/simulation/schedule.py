"""One schedule: producers, editors and a supervised job in a world, from the first record to the last effect."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from embedded.simulation.decisions import Decisions
from embedded.simulation.job import Job, Reach, forget_maps
from embedded.simulation.people import PERSON_CRASHES, DiedError, People, begins_again
from embedded.simulation.plan import Plan, draw
from embedded.simulation.services import Services
from embedded.simulation.spark import Checkpoint
from embedded.simulation.upkeep import UPKEEP_CRASHES, Stores, Upkeep
from embedded.simulation.workload import MAX_AGE_MS, Sent, Workload
from embedded.simulation.world import Process, StuckError, World
from fraud.errors import FraudError, MisconfiguredError
from fraud.settings import Settings
from processor.kinesis_source.offsets import Offsets, from_json
from processor.rescale import rescale

_QUIET_AFTER_CALLS = 200
"""Calls after the last record for which things still go wrong."""

_WITH_A_SERVICE = 4
"""Of so many schedules, one has a decision service."""

_WITH_UPKEEP = 6
"""Of so many schedules, one has maintenance and erasure."""

_LEAPS_MS = (0, 2 * 3_600_000, 8 * 86_400_000)
"""How long nothing happened, once in a schedule."""

_RETENTION_DAYS = 9
"""Of the archive's tables, where they have any: longer than jobs write to a date, shorter than the last leap."""

_PATIENCE_S = 600.0
"""Virtual time in which everything must be done once nothing goes wrong any more."""


_MOVE_CRASHES = ("move",)
"""The command that moves the state dies, and is given again."""

_KEY_OF_ANSWERS = "simulated"


def simulated_settings(seed: int, disks: Path) -> Settings:
    """Settings of a schedule's job and decision service.

    Args:
        seed: of the schedule.
        disks: where the service's disk is, and the key of its answers.
    """
    return Settings.model_validate(
        {
            "streams": {"transactions": "transactions", "labels": "labels"},
            "archive": {
                "bucket": "archive",
                "prefix": "",
                "retention_days": (None, _RETENTION_DAYS)[draw(seed, 0, 65) % 2],
            },
            "alerts": {"table": "alerts"},
            "answers": {"keys": {_KEY_OF_ANSWERS: f"file:{disks / _KEY_OF_ANSWERS}"}},
            "decide": {"snapshot_minutes": 0.2},
            "job": {
                "partitions": (1, 1, 2)[draw(seed, 0, 61) % 3],
                "key_groups": 2,
                "trigger_ms": (1_500, 3_000, 5_000)[draw(seed, 0, 62) % 3],
                "max_records_per_trigger": (40, 100, 1_000)[draw(seed, 0, 63) % 3],
                "entities": {"card": {"events": (16, 64)[draw(seed, 0, 64) % 2]}, "merchant": {"events": 64}},
            },
        }
    )


@dataclass
class Schedule:
    """What a schedule did, for those who check it.

    Attributes:
        plan: what went wrong.
        world: where.
        services: what is left in them.
        settings: of the job, but for what starts differ in.
        disks: of hosts and of the decision service; gone with the schedule.
        sent: every record by its bytes.
        policies: texts of the policies that were in force.
        starts: of the job.
        problems: what is wrong, in words.
        people: who worked beside the job.
        decisions: the decision service; None where the schedule has none.
        upkeep: maintenance and erasure; None where the schedule has none.
    """

    plan: Plan
    world: World
    services: Services
    settings: Settings
    disks: Path
    sent: dict[bytes, Sent] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    starts: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.people = People(self.world, self.services, self.settings, self.sent)
        self.decisions: Decisions | None = None
        if draw(self.plan.seed, 0, 75) % _WITH_A_SERVICE == 0:
            self.decisions = Decisions(self.world, self.services, self.settings, self.disks / "decide")
        self.upkeep: Upkeep | None = None
        if has_upkeep(self.plan.seed):
            self.upkeep = Upkeep(self.world, self.services, self.settings, self.disks / "tables")

    @property
    def left(self) -> Stores:
        """What the job left in the stores, before its last hours were closed."""
        if self.upkeep is not None and self.upkeep.before is not None:
            return self.upkeep.before
        return Stores(self.services.s3.objects, self.services.dynamodb.items)


def has_upkeep(seed: int) -> bool:
    """Whether a schedule has maintenance and erasure."""
    return draw(seed, 0, 77) % _WITH_UPKEEP == 0


def policy_text(above_minor: int, payments: int) -> str:
    """A policy: a review above an amount, a decline from so many payments of a card within an hour on."""

    def rule(name: str, when: str, outcome: str, severity: int) -> dict[str, Any]:
        return {
            "id": name, "description": name, "when": when, "outcome": outcome, "severity": severity,
            "reason": name.upper(), "text": name, "owner": "simulation",
        }  # fmt: skip

    rules = [
        rule("large", f"amount_minor > {above_minor}", "review", 10),
        rule("fast", f"card_count_1h >= {payments}", "decline", 20),
        rule("risky", "merchant_fraud_rate_30d > 0", "review", 30),
    ]
    return json.dumps({"thresholds": {}, "rules": rules})


POLICIES = ((50_000, 5), (30_000, 3), (80_000, 8))
"""What the policies ask for, in their order."""


def run_schedule(plan: Plan, *, keep: bool = False) -> Schedule:
    """Runs a schedule to its end.

    Args:
        plan: what goes wrong.
        keep: whether its timeline is kept.
    """
    world = World(plan, keep)
    memory = Path("/dev/shm")
    disks = Path(tempfile.mkdtemp(prefix="fraud-simulate-", dir=memory if memory.is_dir() else None))
    (disks / _KEY_OF_ANSWERS).write_text("simulated key of 32 bytes at least")
    settings = simulated_settings(plan.seed, disks)
    schedule = Schedule(plan, world, Services(world, settings), settings, disks)
    try:
        supervisor = Process("supervisor")
        world.run(supervisor, _Supervisor(schedule, supervisor, disks).run)
    except StuckError as error:
        schedule.problems.append(f"does not end: {error}")
    finally:
        forget_maps(disks)
        shutil.rmtree(disks, ignore_errors=True)
    return schedule


class _Supervisor:
    def __init__(self, schedule: Schedule, process: Process, disks: Path) -> None:
        self._schedule = schedule
        self._world = schedule.world
        self._services = schedule.services
        self._settings = schedule.settings
        self._process = process
        self._disks = disks
        self._produced = 0
        self._workload = Workload(schedule.plan.seed)
        self._jobs: list[Job] = []
        self._alternates = draw(schedule.plan.seed, 0, 73) % 2
        self._partitions = schedule.settings.job.partitions
        self._done = -1, False  # whether a batch's offsets are the end, once nothing is sent any more

    def run(self) -> None:
        """Keeps a job running until everything that was sent has had its effect."""
        for stream in (self._settings.streams.transactions, self._settings.streams.labels):
            self._services.kinesis.create_stream(stream, 1 + draw(self._world.seed, 0, 71) % 2)
        self._edit_policy(0)
        people = self._schedule.people
        helpers = [
            self._world.start(process, process.name, partial(work, process))
            for process, work in (
                (Process("producer", ("producer",)), self._produce),
                (Process("labeller", ("producer",)), self._label),
                (Process("editor"), self._edit),
                (Process("analyst-1", PERSON_CRASHES), people.dispose),
                (Process("analyst-2", PERSON_CRASHES), people.dispose),
                (Process("console", PERSON_CRASHES), people.deliver),
                (Process("operator", PERSON_CRASHES), people.replay),
                (Process("scaler"), people.reshard),
            )
        ]
        if (decisions := self._schedule.decisions) is not None:
            helpers += [
                self._world.start(Process(name), name, partial(work, *more))
                for name, work, more in (
                    ("service", decisions.serve, ()),
                    ("shop", decisions.ask, (self._workload,)),
                )
            ]
        if (upkeep := self._schedule.upkeep) is not None:
            helpers += [
                self._world.start(process, process.name, partial(work, process))
                for process, work in (
                    (Process("maintenance-1", UPKEEP_CRASHES), upkeep.maintain_early),
                    (Process("maintenance-2", UPKEEP_CRASHES), upkeep.maintain_early),
                    (Process("erasure-1", UPKEEP_CRASHES), upkeep.erase_early),
                )
            ]
        quiet_at: int | None = None
        deadline_s: float | None = None
        while True:
            job = self._start_job()
            actor = self._world.start(job.driver, "driver", job.run)

            def over(job: Job = job, actor: Any = actor) -> bool:
                return actor.done or job.fenced or not job.driver.alive or self._finished(helpers)

            while not over():
                self._world.wait(over, 5.0)
                if quiet_at is None and all(helper.done for helper in helpers):
                    quiet_at = self._world.calls + _QUIET_AFTER_CALLS
                if quiet_at is not None and self._world.calls > quiet_at and deadline_s is None:
                    self._schedule.plan.calm = True
                    deadline_s = self._world.monotonic() + _PATIENCE_S
                if deadline_s is not None and self._world.monotonic() > deadline_s:
                    raise StuckError(f"not done ten minutes after the last fault: {job.over or 'the job runs'}")
            if self._finished(helpers):
                break
            self._world.say(self._process, "job ended", job.over or ("fenced" if job.fenced else "killed"))
            self._world.sleep(1 + draw(self._world.seed, self._schedule.starts, 72) % 8)
            if self._schedule.starts == 2 and not all(helper.done for helper in helpers):
                # Long enough for what is remembered of labels and ids to change.
                self._leap()
            if (
                not any(job.driver.alive for job in self._jobs)
                and draw(self._world.seed, self._schedule.starts, 76) & 1
            ):
                self._rescale()
        self._wait_for_the_lost()
        if upkeep is not None:
            upkeep.close(self._set_calm)
            self._schedule.problems += upkeep.problems

    def _set_calm(self, calm: bool) -> None:
        self._schedule.plan.calm = calm

    def _leap(self) -> None:
        """Lets time go by in which nothing happens."""
        upkeep, chance = self._schedule.upkeep, draw(self._world.seed, 0, 74)
        leaps = _LEAPS_MS if upkeep is None else _LEAPS_MS[1:]  # without one, no hour is closed
        self._world.now_ms += leaps[chance % len(leaps)]
        if upkeep is not None:
            upkeep.leapt = True

    def _start_job(self) -> Job:
        """A start, with another limit of age than the one before."""
        number = self._schedule.starts = self._schedule.starts + 1
        strict = number % 2 == self._alternates
        limits = {"max_age_s": MAX_AGE_MS[strict] // 1000, "partitions": self._partitions}
        settings = self._settings.model_copy(update={"job": self._settings.job.model_copy(update=limits)})
        job = Job(self._world, self._services, settings, number, self._disks)
        self._jobs.append(job)
        return job

    def _rescale(self) -> None:
        """Moves the state, as somebody does who looks whether the job has ended; what is interrupted is done again."""
        wanted = 3 - self._partitions
        while True:
            process = Process(f"rescale-{self._schedule.starts}", _MOVE_CRASHES)
            begins_again(process)
            actor = self._world.start(process, "rescale", partial(self._move, process, wanted))
            self._world.wait(lambda actor=actor: actor.done)  # type: ignore[misc]
            if actor.error is None:
                self._partitions = wanted
                return
            if isinstance(actor.error, MisconfiguredError):  # the job has to finish a batch first
                return
            if not isinstance(actor.error, (DiedError, FraudError)):
                raise actor.error
            self._world.sleep(1.0)

    def _move(self, process: Process, partitions: int) -> None:
        reach = Reach(self._world, self._services, process, self._settings)
        folder = Checkpoint(self._world, process, self._services.checkpoint)
        rescale(folder, folder, reach.archive(), self._settings, partitions)

    def _wait_for_the_lost(self) -> None:
        """Who was cut off comes to its end; then the last job stops."""
        self._schedule.plan.calm = True
        current = self._jobs[-1]
        for job in self._jobs:
            if job is not current:
                job.end()
        cut_off = {id(e.process) for job in self._jobs for e in job.executors if e.lost}
        self._world.wait(lambda: not self._world.has_actors(cut_off), 600.0)
        current.end()

    def _finished(self, helpers: list[Any]) -> bool:
        """Whether everything on the streams is read and committed."""
        if not all(helper.done for helper in helpers):
            return False
        checkpoint = self._services.checkpoint
        committed = max(checkpoint.numbers("commits"), default=-1)
        if committed < 0 or max(checkpoint.numbers("offsets")) > committed:
            return False
        if self._done[0] != committed:
            self._done = committed, self._has_read(from_json(json.loads(checkpoint.offsets(committed))))
        return self._done[1]

    def _has_read(self, offsets: Offsets) -> bool:
        for stream in (self._settings.streams.transactions, self._settings.streams.labels):
            for shard in self._services.kinesis.shards(stream):
                last = max((int(record["SequenceNumber"]) for record in shard.records), default=-1)
                position = offsets.get((stream, shard.id))
                if position is None or position.sequence < last or (shard.closed and not position.closed):
                    return False
        return True

    # Those who send

    def _produce(self, process: Process) -> None:
        def some(number: int) -> list[Sent] | None:
            left = self._schedule.plan.records - self._produced
            count = min(1 + draw(self._world.seed, number, 81) % 14, left)
            self._produced += count
            return [self._workload.next(self._world.time_ms()) for _ in range(count)] if count else None

        self._send(process, self._settings.streams.transactions, some)

    def _label(self, process: Process) -> None:
        def some(number: int) -> list[Sent] | None:
            if self._produced >= self._schedule.plan.records:
                return None
            made = [self._workload.label(self._world.time_ms()) for _ in range(draw(self._world.seed, number, 82) % 3)]
            return [record for record in made if record is not None]

        self._send(process, self._settings.streams.labels, some)

    def _send(self, process: Process, stream: str, some: Callable[[int], list[Sent] | None]) -> None:
        """Writes records; a producer that dies sends again what it had no answer for."""
        begins_again(process)
        reach = Reach(self._world, self._services, process, self._settings)
        writer: KinesisWriter | None = None
        number = 0
        while (records := some(number)) is not None:
            number += 1
            self._schedule.sent |= {record.data: record for record in records}
            sending = [StreamRecord(record.key, record.data) for record in records]
            while sending:
                try:
                    if writer is None:
                        writer = self._schedule.people.writer(reach, stream)
                    writer.write(sending)
                    sending = []
                except (DiedError, FraudError):
                    writer = None
                    self._world.sleep(1.0)
            self._world.sleep(0.05 + draw(self._world.seed, number, 83) % 1_000 / 1_000)

    def _edit(self, process: Process) -> None:
        for number in range(1, len(POLICIES)):
            self._world.sleep(2 + draw(self._world.seed, number, 84) % 10)
            self._edit_policy(number, process)

    def _edit_policy(self, number: int, process: Process | None = None) -> None:
        text = policy_text(*POLICIES[number])
        self._schedule.policies.append(text)
        reach = Reach(self._world, self._services, process or self._process, self._settings)
        reach.objects("s3://policy/").put("policy.yaml", text.encode())
