"""Maintenance and erasure beside the job and after it, by the product's own classes.

What may die at a call of theirs is the command (`upkeep`; after the job's end `closing`), which is given again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from deltalake.exceptions import CommitFailedError

from adapters.archive.archive import Archive
from adapters.archive.delta import DeltaTables
from adapters.archive.layout import ArchiveKind
from adapters.archive.offset_check import Counted
from embedded.simulation.delta import SimulatedTables, TableFiles
from embedded.simulation.job import Reach
from embedded.simulation.people import DiedError, begins_again
from embedded.simulation.plan import draw
from embedded.simulation.services import Services
from embedded.simulation.workload import CARDS
from embedded.simulation.world import CrashError, Process, World
from fraud.errors import FraudError
from fraud.settings import Settings
from operations.erasure import Erased, Erasure
from operations.lake import Lake, TableReport

UPKEEP_CRASHES = ("upkeep",)
CLOSING_CRASHES = ("closing",)

_GRACE = dt.timedelta(minutes=60)
_ROUNDS = 1
_LEAP_S = 40.0
"""For so long at most, the first round waits for hours to have passed."""

_AFTER_MS = (3 * 3_600_000, 9 * 86_400_000, 10 * 86_400_000)
"""How long after the job's end the hours are closed: tables that keep nine days may have begun on the first of them."""

_CLOSING_CALLS = 300
"""Calls after the job's end in which things go wrong."""

_PATIENCE_S = 3_600.0

_PLACE = ("stream", "shard", "sequence_number", "sub_sequence")
COMPARED = {
    "decisions": (*_PLACE, "outcome", "raw"),
    "labels": (*_PLACE, "verdict", "raw"),
    "dead-letters": (*_PLACE, "reason", "data"),
}
"""Columns of a row that a table must have from its object, by kind: where it is from, what came of it, its bytes."""


class Stores(NamedTuple):
    """What lies in the stores at one time.

    Attributes:
        objects: of the archive by key.
        alerts: by their ids, as DynamoDB has them.
    """

    objects: Mapping[str, bytes]
    alerts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Maintained:
    """What one maintenance said.

    Attributes:
        tables: of each kind.
        counted: of each query.
        alone: whether no erasure was under way.
    """

    tables: Sequence[TableReport]
    counted: Sequence[Counted]
    alone: bool


@dataclass
class Upkeep:
    """See the module.

    Args:
        world: where it is.
        services: what it reaches.
        settings: of the job.
        folder: of the tables.

    Attributes:
        card: that is erased.
        leapt: whether hours have passed, so that some are closed.
        erased_early: whether its erasure began while the job ran.
        before: what was there when the job had ended, and before the hours of its end were closed.
        maintained: what each maintenance that came to its end said.
        again: what the erasure found that was given again after one had come to its end.
        last: what the last maintenance said.
        tables: rows of each table in the end: the key of their object, and what is compared.
        problems: errors that no command has.
    """

    world: World
    services: Services
    settings: Settings
    folder: Path
    leapt: bool = False
    erased_early: bool = False
    before: Stores | None = None
    maintained: list[Maintained] = field(default_factory=list)
    again: Erased | None = None
    last: Maintained | None = None
    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.card = f"card-{draw(self.world.seed, 0, 121) % CARDS}"
        self._files = TableFiles(self.folder, self.services.s3.objects)
        self._erasing, self._erasures = False, 0

    # While the job runs

    def maintain_early(self, process: Process) -> None:
        """Maintains a few times."""
        self._rounds(process, _ROUNDS, self._maintain)

    def erase_early(self, process: Process) -> None:
        """Erases the card, in half of the schedules; what comes of it later stays until the end."""
        self._rounds(process, draw(self.world.seed, 0, 122) % 2, self._erase)

    def _rounds(self, process: Process, rounds: int, work: Callable[[Process], Any]) -> None:
        begins_again(process)
        place = sum(process.name.encode())
        for number in range(rounds):
            self.world.wait(lambda: self.leapt, _LEAP_S)
            self.world.sleep(draw(self.world.seed, number, 123 + place) % 4_000 / 1_000)
            self._until_done(process, work)

    # After it

    def close(self, calm: Callable[[bool], None]) -> None:
        """Maintains and erases at the same time, when everything is closed, and at last both once more.

        Args:
            calm: says whether nothing goes wrong any more.
        """
        self.before = Stores(dict(self.services.s3.objects), dict(self.services.dynamodb.items))
        self.world.now_ms += _AFTER_MS[draw(self.world.seed, 0, 124) % len(_AFTER_MS)]
        expires_first = draw(self.world.seed, 0, 125) % 2
        if expires_first:
            self._expire_objects()
        calm(False)
        actors = [
            self.world.start(process, process.name, partial(self._begin, process, work))
            for process, work in (
                (Process("maintenance-3", CLOSING_CRASHES), self._maintain),
                (Process("maintenance-4", CLOSING_CRASHES), self._maintain),
                (Process("erasure-2", CLOSING_CRASHES), self._erase),
            )
        ]
        until, deadline_s = self.world.calls + _CLOSING_CALLS, self.world.monotonic() + _PATIENCE_S
        while not all(actor.done for actor in actors):
            self.world.wait(lambda: all(actor.done for actor in actors), 5.0)
            if self.world.calls > until:
                calm(True)
            if self.world.monotonic() > deadline_s:
                self.problems.append("maintenance and erasure do not end")
                return
        calm(True)
        last = Process("operator-2")
        if not self.problems:
            self.again = self._erase(last)
            self.last = self._maintain(last)
            if not expires_first:
                self._expire_objects()
            self.tables = {kind: self._rows_of(kind) for kind in COMPARED}

    @property
    def oldest(self) -> str:
        """The first date that is kept; empty where all are."""
        days = self.settings.archive.retention_days
        return "" if days is None else f"{self._now() - dt.timedelta(days=days):%Y-%m-%d}"

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.world.time_ms() / 1000, dt.UTC)

    def _expire_objects(self) -> None:
        """Removes the objects of dates that are not kept any more, as the bucket's lifecycle does."""
        objects = self.services.s3.objects
        for key in [key for key in objects if key.partition("/")[0] in COMPARED]:
            if key.split("/")[1].removeprefix("date=") < self.oldest:
                del objects[key]

    def _rows_of(self, kind: str) -> list[tuple[Any, ...]]:
        table = DeltaTables(f"{self.folder}/", {}).open(kind)
        if table is None:
            return []
        found = table.query(f"SELECT object, {', '.join(COMPARED[kind])} FROM t")
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def _begin(self, process: Process, work: Callable[[Process], Any]) -> None:
        begins_again(process)
        self._until_done(process, work)

    def _until_done(self, process: Process, work: Callable[[Process], Any]) -> None:
        while True:
            try:
                work(process)
                return
            except (DiedError, FraudError, OSError, CommitFailedError) as error:
                self.world.say(process, "is given again", type(error).__name__)
                self.world.sleep(1.0)
            except CrashError:
                raise
            except BaseException as error:
                self.problems.append(f"{process.name}: {type(error).__name__}: {error}")
                return

    # The commands

    def _maintain(self, process: Process) -> Maintained:
        begun = self._erasures, self._erasing
        lake = self._lake(process, self._reach(process).archive())
        tables = [lake.maintain(kind) for kind in ArchiveKind]
        counted = lake.verify_offsets()
        done = Maintained(tables, counted, alone=begun == (self._erasures, False))
        self.maintained.append(done)
        return done

    def _erase(self, process: Process) -> Erased:
        self.erased_early |= self.before is None
        # One that was killed has begun, and is under way until another one comes to its end.
        self._erasing, self._erasures = True, self._erasures + 1
        reach = self._reach(process)
        archive = reach.archive()
        found = Erasure(reach.alerts(), archive, self._lake(process, archive), lambda _: None).erase(
            self.card, dry_run=False
        )
        self._erasing = False
        return found

    def _reach(self, process: Process) -> Reach:
        return Reach(self.world, self.services, process, self.settings)

    def _lake(self, process: Process, archive: Archive) -> Lake:
        return Lake(
            self.settings.archive,
            self.settings.aws,
            self._now(),
            _GRACE,
            archive=archive,
            tables=SimulatedTables(self.world, process, self._files),
        )
