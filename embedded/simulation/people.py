"""Those who work beside the job: analysts at the console, an operator who replays dead letters and one who reshards."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from itertools import islice

from adapters.alerts.alert import LABEL_PENDING
from adapters.archive.layout import ArchiveKind
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from console.access import Role, User
from console.services.alerts import AlertDesk, Change
from embedded.simulation.job import Reach
from embedded.simulation.plan import draw
from embedded.simulation.services import Services
from embedded.simulation.workload import LABELS, Sent
from embedded.simulation.world import CrashError, Process, World
from fraud.errors import FraudError
from fraud.records.schema import time_of
from fraud.settings import Settings
from operations.dead_letters import DeadLetterStore

PERSON_CRASHES = ("person",)
"""The process of somebody beside the job dies, and begins again with what it has not done."""

_REASONS = (None, None, "too_old", "duplicate", "invalid")
_MOST_REPLAYED = 8
_MOST_SHARDS = 3
_CHANGES: tuple[Change, ...] = ("confirm_fraud", "false_positive", "confirm_fraud", "note", "assign", "escalate")
_ANALYST_CHANGES = 6
_DELIVERY_S = 16.0
_FIRST_S = 20.0
"""For so long at most, somebody waits for what there is to do."""


class DiedError(CrashError):
    """A process died, and another one takes its place."""


def begins_again(process: Process) -> None:
    """Has what dies of a process be what it does at the moment."""

    def died(_: str) -> None:
        raise DiedError(process.name)

    process.on_crash = died


class People:
    """See the module.

    Args:
        world: where they are.
        services: what they reach.
        settings: of the job.
        sent: takes note of every record before it is sent.

    Attributes:
        changes: that were answered, an alert's id and what was changed, by who made them.
        cards: of alerts that somebody has read.
    """

    def __init__(self, world: World, services: Services, settings: Settings, sent: dict[bytes, Sent]) -> None:
        self._world = world
        self._services = services
        self._settings = settings
        self._sent = sent
        self._at_work = 0
        self.changes: dict[str, tuple[str, str]] = {}
        self.cards: dict[str, str] = {}

    def writer(self, reach: Reach, stream: str) -> KinesisWriter:
        """Writes to a stream as a process of the world."""
        return KinesisWriter(
            stream,
            self._settings.aws,
            backoff=self._world.backoff,
            clock=self._world.monotonic,
            client=reach.client("kinesis"),
        )

    # Analysts

    def dispose(self, process: Process) -> None:
        """Changes alerts, among them such as somebody else changes at the same time."""
        begins_again(process)
        self._at_work += 1
        place = sum(process.name.encode())
        for number in range(_ANALYST_CHANGES):
            self._world.sleep(1 + draw(self._world.seed, number, place) % 4)
            self._world.wait(lambda: bool(self._services.dynamodb.items), _FIRST_S)
            alerts = sorted(self._services.dynamodb.items)
            if not alerts:
                continue
            # Of the first alerts, so that several meet at one.
            key = alerts[draw(self._world.seed, number, 91 + place) % min(len(alerts), 4)]
            change = _CHANGES[draw(self._world.seed, number, 92 + place) % len(_CHANGES)]
            user = User(f"{process.name}-{number}", Role.ANALYST)
            try:
                desk = self._desk(process)
                seen = desk.read(key)
                self.cards[key] = seen["card_token"]
                self._world.sleep(draw(self._world.seed, number, 93) % 3)
                desk.change(user, key, seen["version"], change)
                self.changes[user.name] = (key, change)
            except (DiedError, FraudError):
                self._world.say(process, "change not made", key)
        self._at_work -= 1

    def deliver(self, process: Process) -> None:
        """Writes the labels that were not written, as consoles do, until none is left."""
        begins_again(process)
        while True:
            self._world.sleep(_DELIVERY_S)
            try:
                self._desk(process).deliver()
            except (DiedError, FraudError):
                continue
            if not self._at_work and not any(LABEL_PENDING in item for item in self._services.dynamodb.items.values()):
                return

    def _desk(self, process: Process) -> AlertDesk:
        reach = Reach(self._world, self._services, process, self._settings)

        def write(key: str, data: bytes) -> None:
            self._sent[data] = Sent(LABELS, key, data, _label_in(data))
            self.writer(reach, self._settings.streams.labels).write([StreamRecord(key, data)])

        return AlertDesk(
            reach.alerts(),
            lambda _: None,
            write,
            lambda: dt.datetime.fromtimestamp(self._world.time_ms() / 1000, dt.UTC),
            lambda *_: None,
        )

    # Operators

    def replay(self, process: Process) -> None:
        """Puts some dead letters on their streams again."""
        begins_again(process)
        for number in range(2):
            self._world.wait(self._has_dead_letters, _FIRST_S)
            self._world.sleep(1 + draw(self._world.seed, number, 94) % 5)
            reason = _REASONS[draw(self._world.seed, number, 95) % len(_REASONS)]
            self._until_done(lambda reason=reason: self._replay(process, reason))  # type: ignore[misc]

    def _has_dead_letters(self) -> bool:
        return any(key.startswith(ArchiveKind.DEAD_LETTERS.prefix) for key in self._services.s3.objects)

    def _replay(self, process: Process, reason: str | None) -> None:
        reach = Reach(self._world, self._services, process, self._settings)
        store = DeadLetterStore(
            reach.archive(), self._settings.aws, new_writer=lambda stream, _: self.writer(reach, stream)
        )
        for _ in store.replay(islice(store.find(reason), _MOST_REPLAYED)):
            pass

    def _until_done(self, work: Callable[[], None]) -> None:
        while True:
            try:
                return work()
            except (DiedError, FraudError):
                self._world.sleep(1.0)

    def reshard(self, process: Process) -> None:
        """Splits a shard, or merges two."""
        kinesis = self._services.kinesis
        for number in range(draw(self._world.seed, 0, 96) % 3):
            self._world.sleep(2 + draw(self._world.seed, number, 97) % 10)
            stream = self._settings.streams.labels if number else self._settings.streams.transactions
            shards = kinesis.open_shards(stream)
            place = draw(self._world.seed, number, 98) % len(shards)
            if place and (len(shards) == _MOST_SHARDS or draw(self._world.seed, number, 99) & 1):
                kinesis.merge_shards(stream, shards[place - 1].id, shards[place].id)
                self._world.say(process, "merges", f"{stream} {shards[place - 1].id} {shards[place].id}")
            else:
                kinesis.split_in_half(stream, shards[place].id)
                self._world.say(process, "splits", f"{stream} {shards[place].id}")


def _label_in(data: bytes) -> dict[str, object]:
    given: dict[str, object] = json.loads(data)
    optional = dict.fromkeys(("terminal_id", "transaction_time_precision_ms", "recorded_arrival"))
    times = {
        name: time_of(round(dt.datetime.fromisoformat(str(given[name])).timestamp() * 1000))
        for name in ("transaction_time", "label_time")
    }
    return optional | given | times
