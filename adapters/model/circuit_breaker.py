"""Stops asking a service that keeps failing, and tries it again after a while (Nygard, Release It!, 2007)."""

from __future__ import annotations

import enum
from collections.abc import Callable


class CircuitState(enum.StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    HALF_OPEN = "half_open"  # one attempt is under way that decides between the two


class CircuitBreaker:
    """Opens after failures in a row; after a pause lets one attempt through. For one thread.

    Args:
        failures: failures in a row that open it.
        pause_s: how long it stays open before it lets one attempt through.
        clock: seconds that never go back.

    >>> now = 0.0
    >>> breaker = CircuitBreaker(failures=2, pause_s=10.0, clock=lambda: now)
    >>> for _ in range(2):
    ...     assert breaker.allows()
    ...     breaker.failed()
    >>> breaker.allows()
    False
    >>> now = 10.0
    >>> breaker.allows(), breaker.allows()
    (True, False)
    """

    def __init__(self, failures: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self.state = CircuitState.CLOSED

    def allows(self) -> bool:
        """Whether to ask now; whoever gets True must report how it went."""
        if self.state is CircuitState.OPEN and self._clock() - self._opened_at >= self._pause_s:
            self.state = CircuitState.HALF_OPEN
            return True
        return self.state is CircuitState.CLOSED

    def succeeded(self) -> None:
        """Takes note of an answer: closed again."""
        self._failures = 0
        self.state = CircuitState.CLOSED

    def failed(self) -> None:
        """Takes note of a failure: opens at the limit, and at once when the attempt after a pause fails."""
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN or self._failures >= self._limit:
            self.state = CircuitState.OPEN
            self._opened_at = self._clock()
