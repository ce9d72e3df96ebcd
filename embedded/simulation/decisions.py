"""The decision service in the simulated world, and those who ask it: its own classes, a disk that outlives it.

What may die at a call of the service:

    service    its process; what it wrote to its disk is there
    power      its machine: what was written and not made durable is there in part
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.aws.stream_writer import KinesisWriter
from adapters.policy.source import PolicySource
from adapters.program.answer_keys import open_answer_keys, signing_key
from adapters.program.telemetry import Telemetry
from decision_service import snapshot
from decision_service.answers import Answers
from decision_service.engine import Engine, Refusal
from decision_service.journal import Journal
from decision_service.service import Given, Places, Service
from decision_service.streams import Shipper
from embedded.simulation.job import Reach
from embedded.simulation.plan import draw
from embedded.simulation.runtime import SimulatedRuntime, VirtualLoop
from embedded.simulation.services import Services
from embedded.simulation.workload import Sent, Workload
from embedded.simulation.world import CrashError, Process, World
from fraud.decision.scorer import RulesOnly
from fraud.errors import FraudError
from fraud.records.intake import Intake
from fraud.settings import Settings
from processor.kinesis_source.following import StreamsReader

SERVICE_CRASHES = ("service", "power")
"""What may die at a call of the service."""

_ASKED = 24
_PATIENCE_S = 30.0
_POLL_S = 4.0
_RELOAD_S = 5.0
_GIVE_UP_S = 2.0
_SOON_MS = 3_600_000
"""Within this, a transaction that is asked for again has the answer that it had."""


@dataclass(frozen=True)
class Reply:
    """What a transaction was answered.

    Attributes:
        sent: the transaction.
        answer: as it was answered; None where it was refused.
        again: whether it had been answered a moment ago.
    """

    sent: Sent
    answer: dict[str, Any] | None
    again: bool


@dataclass
class Decisions:
    """The service, start by start, and who asks it.

    Args:
        world: where they are.
        services: what they reach.
        settings: of job and service.
        folder: the service's disk.

    Attributes:
        asked: every transaction that was asked for, by its bytes.
        replies: what was answered, in order.
        durable: bytes of each of the journal's files that a power loss leaves.
    """

    world: World
    services: Services
    settings: Settings
    folder: Path
    asked: dict[bytes, Sent] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    durable: dict[str, int] = field(default_factory=dict)
    _start: _Start | None = None
    _over: bool = False

    def serve(self) -> None:
        """Keeps the service running until everything that was asked is on the stream."""
        number, done = 0, False
        while not done:
            number += 1
            process = Process(f"decide-{number}", SERVICE_CRASHES)
            start = self._start = _Start(self, process)
            actor = self.world.start(process, "loop", start.run)

            def ended(start: _Start = start, actor: Any = actor) -> bool:
                return actor.done or not start.process.alive or (self._over and start.shipped)

            self.world.wait(ended)
            done = self._over and process.alive and start.shipped
            process.alive = False
            self.world.sleep(1 + draw(self.world.seed, number, 111) % 4)

    def ask(self, workload: Workload) -> None:
        """Asks for transactions, for some of them again."""
        answered: list[tuple[Sent, int]] = []
        for number in range(_ASKED):
            self.world.sleep(draw(self.world.seed, number, 112) % 3_000 / 1_000)
            recent = [sent for sent, at_ms in answered if self.world.time_ms() - at_ms < _SOON_MS]
            asks_again = bool(recent) and draw(self.world.seed, number, 113) % 4 == 0
            began_ms = self.world.time_ms()
            sent = recent[draw(self.world.seed, number, 114) % len(recent)] if asks_again else workload.next(began_ms)
            self.asked[sent.data] = sent
            given = self._answer_on(sent.data)
            # Where the service was down, days may have gone by, after which the transaction is too old to ask for.
            again = asks_again and self.world.time_ms() - began_ms < _SOON_MS
            if isinstance(given, Refusal):
                self.replies.append(Reply(sent, None, again))
                continue
            self.replies.append(Reply(sent, json.loads(given.kept.answer), again))
            answered.append((sent, self.world.time_ms()))
        self._over = True

    def _answer_on(self, data: bytes) -> Given | Refusal:
        """What the service answers, which is asked again where it dies before it does."""
        while True:
            start = self._start
            if start is not None and start.serves:
                future = asyncio.run_coroutine_threadsafe(start.service.decide(data), start.loop)

                def over(start: _Start = start, future: Any = future) -> bool:
                    return future.done() or not start.process.alive

                self.world.wait(over, _PATIENCE_S)
                if future.done() and start.process.alive and future.exception() is None:
                    return future.result()
            self.world.sleep(0.5)


class _Service(Service):
    """Writes snapshots in its own process, and ends without a signal."""

    async def _watch(self) -> None:
        """Nothing falls behind on a virtual clock."""

    def _write_beside(self, meta: snapshot.Meta) -> Awaitable[Path | None]:
        draft = snapshot.write(self._places.snapshots, meta, self.engine.dump())

        async def written() -> Path:
            await asyncio.sleep(0.1)
            return draft

        return written()

    def _end_process(self) -> None:
        asyncio.get_running_loop().stop()


class _Start:
    """One start of the service."""

    service: _Service
    loop: VirtualLoop

    def __init__(self, of: Decisions, process: Process) -> None:
        self.process = process
        self.serves = False
        self._of = of
        self._answers: Answers | None = None
        process.on_crash = self._crash

    @property
    def shipped(self) -> bool:
        """Whether all that it answered is on the stream."""
        return self.serves and self._journal.waiting == 0 and self._shipper.behind_bytes == 0

    def run(self) -> None:
        """Recovers and serves."""
        self.loop = VirtualLoop(self._of.world, self.process)
        try:
            self._open()
            self.loop.run_until_complete(self.service.start())
            self.serves = True
            self.loop.run_forever()
        except FraudError as error:
            self._of.world.say(self.process, "service ended", str(error)[:100])
        except CrashError:
            self._of.world.say(self.process, "service ended", "killed")
            raise
        finally:
            self.serves = self.process.alive = False
            if self._answers is not None:
                self._answers.close()
            self.loop.end()

    def _open(self) -> None:
        of, world = self._of, self._of.world
        settings, folder = of.settings, of.folder
        reach = Reach(world, of.services, self.process, settings)
        runtime = SimulatedRuntime(world, self.process)
        policies = reach.policies(settings.job.query)
        keys = open_answer_keys(settings.answers)
        engine = Engine(
            settings, Intake.of(settings), policies.current, RulesOnly(), keys, signing_key(settings.answers, keys),
            self.process.name, lambda: 0,
        )  # fmt: skip
        answers = self._answers = Answers(folder / "answers.db")
        self._journal = Journal(folder / "journal", self._sync, runtime)
        writer = KinesisWriter(
            settings.streams.transactions, settings.aws, _GIVE_UP_S, world.backoff, world.monotonic,
            reach.client("kinesis"),
        )  # fmt: skip
        self._shipper = Shipper(self._journal, writer.write, folder / "shipped", runtime)
        self.service = _Service(
            settings.decide, engine, answers, self._journal, self._journal, self._shipper,
            Places(folder / "snapshots", "simulated"), Telemetry(), world.time_ms, runtime,
        )  # fmt: skip
        self.service.recover()
        streams = [settings.streams.transactions, settings.streams.labels]
        reader = StreamsReader(
            reach.client("kinesis", attempts=1), streams, self.service.positions, "earliest", world.monotonic
        )
        self.service.follow(reader.read, _POLL_S)
        world.start(self.process, "reload", lambda: self._reload(policies, engine))

    def _reload(self, policies: PolicySource, engine: Engine) -> None:
        while True:
            self._of.world.sleep(_RELOAD_S)
            engine.policy = policies.refresh()

    # The disk

    def _sync(self, file: int) -> None:
        path = str(Path(f"/proc/self/fd/{file}").readlink())
        size = os.fstat(file).st_size
        self._of.world.call(self.process, "journal.sync", lambda: None, local=True, about=f"{size} bytes")
        self._of.durable[path] = size

    def _crash(self, what: str) -> None:
        self.process.alive = False
        file = self._of.folder / "answers.db"
        durable = file.read_bytes() if what == "power" and file.exists() else None
        if self._answers is not None:
            self._answers.close()  # which writes into the index what is only in its log
        if what != "power":
            return
        if durable is not None:
            file.write_bytes(durable)
        world = self._of.world
        for path in sorted((self._of.folder / "journal").glob("*.journal")):
            written, synced = path.stat().st_size, self._of.durable.get(str(path), 0)
            if written > synced:
                os.truncate(path, synced + draw(world.seed, world.calls, 115) % (written - synced + 1))
