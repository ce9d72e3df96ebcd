"""When the next batch is due."""

from __future__ import annotations

import time
from collections.abc import Callable

_SLICES_PER_SECOND = 10


class Pacer:
    """Holds a run to a rate, or to a multiple of event time; with neither it never waits.

    Args:
        rate: transactions a second.
        speed: multiple of event time.
        wait: waits so many seconds; returns early when the run is to end.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        rate: float | None,
        speed: float | None,
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._speed = speed
        self._wait = wait
        self._clock = clock
        self._started = clock()
        self._first_event_ms: int | None = None

    def batch_size(self, most: int) -> int:
        """Records to write at once: small enough that a paced run flows and does not surge."""
        return most if self._rate is None else max(1, min(most, round(self._rate / _SLICES_PER_SECOND)))

    def wait_for(self, sent: int, first_event_ms: int) -> None:
        """Waits until the batch after `sent` transactions, which begins at an event time, is due."""
        if self._first_event_ms is None:
            self._first_event_ms = first_event_ms
        due = self._started
        if self._rate is not None:
            due += sent / self._rate
        if self._speed:
            due = max(due, self._started + (first_event_ms - self._first_event_ms) / 1000 / self._speed)
        self._wait(max(0.0, due - self._clock()))
