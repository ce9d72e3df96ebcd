"""When the next batch is due."""

from __future__ import annotations

import time
from collections.abc import Callable

_SLICES_PER_SECOND = 10


class Pacer:
    """Holds a run to a rate or to a multiple of event time; with neither it never waits.

    Args:
        rate: transactions a second.
        speed: multiple of event time.
        from_ms: event time that is due at once; None takes that of the first batch.
        wait: waits so many seconds; returns early when the run is to end.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        rate: float | None,
        speed: float | None,
        from_ms: int | None,
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._speed = speed
        self._from_ms = from_ms
        self._wait = wait
        self._clock = clock
        self._started = clock()

    def wait_for(self, sent: int, last_event_ms: int) -> None:
        """Waits until the batch after `sent` transactions is due: all of it has happened."""
        if self._from_ms is None:
            self._from_ms = last_event_ms
        due = self._started
        if self._rate is not None:
            due += sent / self._rate
        if self._speed is not None:
            due = max(due, self._started + (last_event_ms - self._from_ms) / 1000 / self._speed)
        self._wait(max(0.0, due - self._clock()))


def paced_batch_size(most: int, rate: float | None, burst: int | None) -> int:
    """Records to write at once: small enough that a paced run flows and does not surge, or one burst.

    >>> paced_batch_size(500, rate=200, burst=None)
    20
    >>> paced_batch_size(500, rate=200, burst=1000)
    1000
    """
    if burst is not None:
        return burst
    return most if rate is None else max(1, min(most, round(rate / _SLICES_PER_SECOND)))
