"""The world of one schedule: its clock, who runs, and every call to the outside.

Actors are threads of which one runs at a time. One hands over to the next at calls to the outside and where it waits,
never elsewhere; who is next follows from the seed. Time is virtual: it passes in calls, and where nobody can go on it
moves to when somebody can. So a seed decides everything, in every process.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from adapters.aws.backoff import Backoff
from embedded.simulation.plan import Plan, draw

Result = TypeVar("Result")

START_MS = 1_768_478_400_000
"""Noon of 15 January 2026, when schedules begin."""

_FOREVER_MS = 10**15
_MOST_CALLS = 12_000
"""A schedule that makes more will not end."""


class CrashError(BaseException):
    """The process in which this runs is gone: nothing of it may take effect any more."""


class StuckError(Exception):
    """Nobody can go on, or the schedule does not end."""


@dataclass
class Process:
    """What dies as a whole.

    Attributes:
        name: in the timeline.
        crashes: what may die at its calls (`embedded.simulation.job` says what each means).
        alive: until it crashes.
        on_crash: takes what dies, and how.
    """

    name: str
    crashes: Sequence[str] = ()
    alive: bool = True
    on_crash: Callable[[str], None] = lambda _: None


class Call(NamedTuple):
    """A line of the timeline.

    Attributes:
        number: of the call.
        at_ms: when, by the virtual clock.
        who: process and actor.
        what: the operation, and what it is about.
        event: what happened to it; empty where nothing did.
        outcome: in short.
    """

    number: int
    at_ms: int
    who: str
    what: str
    event: str
    outcome: str


class Actor:
    """Somebody who does one thing after the other."""

    def __init__(self, world: World, process: Process, name: str, work: Callable[[], Any]) -> None:
        self.process = process
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.until_ms = 0
        self.ready: Callable[[], bool] | None = None
        self.baton = threading.Lock()  # a semaphore is a condition around one, and takes ten times as long
        self.baton.acquire()
        self._world = world
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.baton.acquire()
        try:
            if self._world.allows(self):
                self.result = self._work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._world.leave(self)


@dataclass
class World:
    """See the module.

    Args:
        plan: what goes wrong.
        keep: whether the timeline is kept, or only its digest.
    """

    plan: Plan
    keep: bool = False
    now_ms: float = START_MS
    timeline: list[Call] = field(default_factory=list)
    calls: int = 0
    _choices: int = 0
    _actors: list[Actor] = field(default_factory=list)
    _current: Actor | None = None

    def __post_init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._over = threading.Lock()
        self._over.acquire()
        self._ending = False
        self._stuck = ""

    @property
    def seed(self) -> int:
        """Of the schedule."""
        return self.plan.seed

    @property
    def digest(self) -> str:
        """Names the schedule as it went: every call in its order, and what came of it."""
        return self._digest.hexdigest()

    def run(self, process: Process, work: Callable[[], Result]) -> Result:
        """Runs the first actor to its end; whatever others do after that is cut off.

        Raises:
            StuckError: nobody could go on.
        """
        first = self.start(process, "main", work)
        self._current = first
        first.baton.release()
        self._over.acquire()
        if self._stuck:
            raise StuckError(self._stuck)
        if first.error is not None:
            raise first.error
        return first.result  # type: ignore[no-any-return]

    def start(self, process: Process, name: str, work: Callable[[], Any]) -> Actor:
        """Another actor; it begins when it is its turn."""
        actor = Actor(self, process, name, work)
        self._actors.append(actor)
        return actor

    def leave(self, actor: Actor) -> None:
        """An actor has come to its end."""
        self._actors.remove(actor)
        self._ending = self._ending or actor.name == "main"
        following = self._next()
        if following is None and self._actors:
            self._give_up("nobody can go on")
            following = self._actors[0]
        if following is None:
            self._over.release()
        else:
            self._current = following
            following.baton.release()

    def _give_up(self, why: str) -> None:
        """Has every actor come to its end."""
        self._stuck = self._stuck or f"{why}: {self._who_waits()}"
        self._ending = True

    def allows(self, actor: Actor) -> bool:
        """Whether an actor may still do anything."""
        return not self._ending and actor.process.alive

    def has_actors(self, processes: set[int]) -> bool:
        """Whether some of the processes, by their identity, still do something."""
        return any(id(actor.process) in processes for actor in self._actors)

    def call(
        self,
        process: Process,
        what: str,
        effect: Callable[[], Result],
        faults: Sequence[str] = (),
        fail: Callable[[str], tuple[Exception | None, bool]] = lambda _: (None, True),
        *,
        local: bool = False,
        about: str = "",
        shown: Callable[[Any], str] = lambda _: "",
    ) -> Result:
        """A call to the outside.

        Args:
            process: makes it.
            what: operation.
            effect: does it.
            faults: what may go wrong with it.
            fail: makes of a fault the error to raise (None for one that the effect itself shows), and whether the
                effect takes place.
            local: it leaves the process, but not the machine: it can only be cut off, and nobody else goes on.
            about: what it is about.
            shown: the outcome in short.
        """
        self._require_alive(process)
        number, self.calls = self.calls, self.calls + 1
        if number > _MOST_CALLS:
            self._give_up(f"more than {_MOST_CALLS} calls")
        self._require_alive(process)
        self.now_ms += 0.01 if local else 1 + draw(self.seed, number, 21) % 12
        event = self.plan.event(number, () if local else faults, process.crashes, may_wait=not local) or ""
        if event.startswith("pause"):
            self._note(number, process, what, about, event, "")
            self.sleep(float(event.split()[1]) / 1000)
            self._require_alive(process)
        kind, _, rest = event.partition(" ")
        if kind == "crash" and rest.endswith("before"):
            self._note(number, process, what, about, event, "not done")
            process.on_crash(rest.split()[0])
            self._require_alive(process)
        error, takes_place = fail(rest) if kind == "fault" else (None, True)
        outcome: Result | None = None
        try:
            if takes_place:
                outcome = effect()
        except Exception as refused:
            self._note(number, process, what, about, event, f"{type(refused).__name__}: {refused}"[:120])
            self._hand_over(event)
            self._require_alive(process)
            raise
        self._note(number, process, what, about, event, str(error)[:120] if error else shown(outcome))
        if kind == "crash" and rest.endswith("after"):
            process.on_crash(rest.split()[0])
            self._require_alive(process)
        self._hand_over(event)
        self._require_alive(process)
        if error is not None:
            raise error
        return outcome  # type: ignore[return-value]

    def say(self, who: Process, what: str, outcome: str = "") -> None:
        """A line of the timeline that is no call."""
        self._note(self.calls, who, what, "", "", outcome)

    def _hand_over(self, event: str) -> None:
        if event == "switch":
            self._wait(lambda: True, self.now_ms, others_first=True)

    def _require_alive(self, process: Process) -> None:
        if self._ending or not process.alive:
            raise CrashError(process.name)

    def _note(self, number: int, process: Process, what: str, about: str, event: str, outcome: str) -> None:
        actor = self._current.name if self._current is not None else ""
        at_ms = int(self.now_ms)
        self._digest.update(f"{number} {at_ms} {process.name} {actor} {what} {about} {event} {outcome}\n".encode())
        if self.keep:
            self.timeline.append(Call(number, at_ms, f"{process.name} {actor}", f"{what} {about}", event, outcome))

    # Time and waiting

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return (self.now_ms - START_MS) / 1000

    def time_ms(self) -> int:
        """UTC milliseconds."""
        return int(self.now_ms)

    def sleep(self, seconds: float) -> None:
        """The running actor waits."""
        self._wait(None, self.now_ms + max(0.0, seconds) * 1000)

    def wait(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """The running actor waits for a condition, so long at most; whether it holds."""
        if not ready():
            self._wait(ready, _FOREVER_MS if seconds is None else self.now_ms + max(0.0, seconds) * 1000)
        return ready()

    def backoff(self, first_s: float, longest_s: float, **limits: Any) -> Backoff:
        """Pauses that follow from the seed, on the virtual clock."""
        chosen: dict[str, Any] = {"clock": self.monotonic, "sleep": self.sleep, "rng": _Middle()}
        return Backoff(first_s, longest_s, **chosen | limits)

    def _wait(self, ready: Callable[[], bool] | None, until_ms: float, *, others_first: bool = False) -> None:
        me = self._current
        assert me is not None
        me.ready, me.until_ms = ready, until_ms  # type: ignore[assignment]
        following = self._next(but=me if others_first else None)
        if following is None:
            self._give_up("nobody can go on")
            following = me
        if following is not me:
            self._current = following
            following.baton.release()
            me.baton.acquire()
        me.ready, me.until_ms = None, 0
        self._require_alive(me.process)

    def _next(self, but: Actor | None = None) -> Actor | None:
        """Who goes on: one of those that can, by the seed; time moves on where none can."""
        while True:
            if self._ending:
                return self._actors[0] if self._actors else None
            now_ms = self.now_ms
            able = [
                actor
                for actor in self._actors
                if actor is not but
                and (
                    actor.until_ms <= now_ms
                    or not actor.process.alive  # the dead can go on before their time, to come to their end
                    or (actor.ready is not None and actor.ready())
                )
            ]
            if not able and but is not None:
                return but
            if able:
                dead = [actor for actor in able if not actor.process.alive]
                if dead:
                    return dead[0]
                self._choices += 1
                return able[draw(self.seed, self._choices, 31) % len(able)] if len(able) > 1 else able[0]
            times = [actor.until_ms for actor in self._actors]
            if not times or min(times) >= _FOREVER_MS:
                return None
            self.now_ms = max(self.now_ms, min(times))

    def _who_waits(self) -> str:
        return ", ".join(sorted({f"{actor.process.name} {actor.name}" for actor in self._actors}))


class _Middle:
    """Chance for pauses whose exact length decides nothing: the middle."""

    def uniform(self, low: float, high: float) -> float:
        """Half-way."""
        return (low + high) / 2


class Inline(Executor):
    """Makes calls that would be made at the same time one after the other."""

    def map(self, fn: Callable[..., Any], *iterables: Any, **_: Any) -> Any:
        """In their order."""
        return map(fn, *iterables)
