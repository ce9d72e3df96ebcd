"""Threads, time, locks and the event loop of a process in the world."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from adapters.program.runtime import Runtime, Started
from embedded.simulation.world import Actor, Process, World

Result = TypeVar("Result")

_LAST_TURNS = 12
"""Turns of a loop in which what was handed to it begins and, cancelled, ends."""


class SimulatedRuntime(Runtime):
    """Threads and time of a process in the world."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def monotonic(self) -> float:
        """By the virtual clock."""
        return self._world.monotonic()

    def sleep(self, seconds: float) -> None:
        """By the virtual clock."""
        self._world.sleep(seconds)

    def wait(self, event: Any, seconds: float) -> bool:
        """By the virtual clock."""
        return self._world.wait(event.is_set, seconds)

    def condition(self) -> Any:
        """One that needs no lock: nobody else goes on but where somebody waits."""
        return _Condition(self._world)

    def result(self, future: Future[Result]) -> Result:
        """Has others go on until it is there."""
        self._world.wait(future.done)
        return future.result()

    def start(self, run: Callable[[], None], name: str) -> Started:
        """Another actor of the process."""
        return _Started(self._world, self._world.start(self._process, name, run))

    def backoff(self, first_s: float, longest_s: float, **limits: Any) -> Any:
        """By the virtual clock."""
        return self._world.backoff(first_s, longest_s, **limits)


class _Started:
    def __init__(self, world: World, actor: Actor) -> None:
        self._world = world
        self._actor = actor

    def join(self, timeout: float | None = None, /) -> None:
        self._world.wait(lambda: self._actor.done, timeout)


class _Condition:
    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None:
        """Nobody else is within."""

    def __exit__(self, *_: object) -> None:
        """Nobody waits for it."""

    def notify_all(self) -> None:
        """Who waits looks by itself."""

    def wait_for(self, holds: Callable[[], Any], timeout: float | None = None) -> bool:
        return self._world.wait(lambda: bool(holds()), timeout)


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that has no sockets and waits in the world.

    Args:
        world: where it is.
        process: whose loop it is.
    """

    def __init__(self, world: World, process: Process) -> None:
        super().__init__()
        self._world = world
        self._process = process
        self._selector = self
        self._woken = self._ending = False
        self.set_exception_handler(lambda *_: None)  # what a process leaves undone when it dies

    def time(self) -> float:
        """By the virtual clock."""
        return self._world.monotonic()

    def select(self, timeout: float | None) -> list[Any]:
        """Waits until something is to be done; in place of a selector."""
        if timeout != 0 and not self._ending:
            self._world.wait(lambda: self._woken, timeout)
        self._woken = False
        return []

    def end(self) -> None:
        """Gives up what its process has left undone, none of which may take effect any more."""
        self._ending = True
        try:
            for _ in range(_LAST_TURNS):
                for task in asyncio.all_tasks(self):
                    task.cancel()
                self.stop()  # after this turn; what ends in it may stop the loop, too
                self.run_forever()
        finally:
            self.close()

    def run_in_executor(self, _: Any, function: Callable[..., Any], *arguments: Any) -> Any:  # type: ignore[override]
        """Another actor of the process."""
        future = self.create_future()

        def work() -> None:
            made = function(*arguments)
            self.call_soon_threadsafe(future.set_result, made)

        self._world.start(self._process, "executor", work)
        return future

    def _process_events(self, _: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        self._woken = True
