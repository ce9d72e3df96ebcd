"""Tries again after growing pauses that are drawn at random, so that many callers do not come back at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable


class Backoff:
    """The pauses between the attempts of one piece of work.

    Args:
        first_s: longest pause before the second attempt; doubles for each further one. A pause lasts at least half.
        longest_s: longest pause of all.
        attempts: most attempts; None is without a bound.
        deadline_s: by the clock; no attempt begins then or later. None is without a bound.
        clock: seconds that never go back.
        sleep: waits so many seconds.
        rng: draws the pauses; None draws from a generator of its own.

    Attributes:
        retries: attempts after the first, so far.

    >>> pauses: list[float] = []
    >>> backoff = Backoff(1.0, 3.0, attempts=4, sleep=pauses.append, rng=random.Random(7))
    >>> [backoff.pause() for _ in range(4)], backoff.retries
    ([True, True, True, False], 3)
    >>> [round(pause, 1) for pause in pauses]
    [0.7, 1.2, 2.5]
    """

    def __init__(
        self,
        first_s: float,
        longest_s: float,
        *,
        attempts: int | None = None,
        deadline_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._attempts = attempts
        self._deadline_s = deadline_s
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._failed = 0
        self.retries = 0

    def pause(self) -> bool:
        """Waits before another attempt; False, without waiting, where none may follow."""
        self._failed += 1
        if self._attempts is not None and self._failed >= self._attempts:
            return False
        # The exponent is bounded: an endless reader fails more often than a float has room for.
        longest_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failed - 1, 64))
        pause_s = self._rng.uniform(longest_s / 2, longest_s)
        if self._deadline_s is not None and self._clock() + pause_s >= self._deadline_s:
            return False
        self.retries += 1
        self._sleep(pause_s)
        return True

    def succeeded(self, deadline_s: float | None = None) -> None:
        """Begins with the shortest pause again after an attempt that succeeded.

        Args:
            deadline_s: of the next piece of work; None keeps the one there is.
        """
        self._failed = 0
        if deadline_s is not None:
            self._deadline_s = deadline_s
