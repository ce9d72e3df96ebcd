"""Items that gather while a call with those before them is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from adapters.program.runtime import Runtime

Item = TypeVar("Item")


class Gathering(Generic[Item]):
    """Hands items on in a thread of its own, in the order in which they were put, all at once that wait.

    One group at a time keeps that order. So an item waits for at most two calls.

    Args:
        take: gets each group.
        name: of the thread.
        runtime: gives the thread.
    """

    def __init__(self, take: Callable[[Sequence[Item]], None], name: str, runtime: Runtime) -> None:
        self._take = take
        self._waiting: list[Item] = []
        self._changed = runtime.condition()
        self._closing = False
        self._thread = runtime.start(self._run, name)

    def put(self, item: Item) -> None:
        """Has an item taken after all others."""
        with self._changed:
            self._waiting.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Hands on what waits and ends."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                group, self._waiting = self._waiting, []
            if not group:
                return
            self._take(group)
