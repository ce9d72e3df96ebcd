"""Work that goes on beside the requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from fraud.errors import FraudError

log = structlog.get_logger()

_REST = 4.0
"""A pause lasts at least so many times the turn before it, so that following a slow store leaves it free for people."""

_LONGEST_REST_S = 10.0
"""But one slow turn, of a busy machine, must not leave pages without news for longer than that."""


class PeriodicTask:
    """Calls a function again and again on a thread of its own, while the application runs.

    Where a store is out of reach or refuses, that is logged and the next turn tries again.

    Args:
        name: of the work, for the log.
        every_s: least pause between its turns.
        act: one turn.
    """

    def __init__(self, name: str, every_s: float, act: Callable[[], object]) -> None:
        self._name = name
        self._every_s = every_s
        self._act = act
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins with the first turn."""
        self._end.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the running turn, or leaves it behind after a second: none holds what a crash would break."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                self._act()
            except (FraudError, OSError) as error:
                log.warning("background_work_failed", work=self._name, reason=str(error))
            self._end.wait(rest_s(self._every_s, time.monotonic() - began))


def rest_s(every_s: float, took_s: float) -> float:
    """How long work rests after a turn, in seconds.

    >>> [rest_s(2.0, took_s) for took_s in (0.1, 1.0, 60.0)], rest_s(600.0, 60.0)
    ([2.0, 4.0, 10.0], 600.0)
    """
    return max(every_s, min(_REST * took_s, _LONGEST_REST_S))
