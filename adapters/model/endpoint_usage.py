"""What calls of the model endpoint have cost, and why it did not score."""

from __future__ import annotations

import enum
import threading
from collections import Counter


class FallbackReason(enum.StrEnum):
    """Why the endpoint did not score a batch."""

    TIMED_OUT = "timed_out"
    FAILED = "failed"  # not reached, throttled, or a server error
    REFUSED = "refused"  # a client error: the request or our rights are wrong
    WRONG_MODEL = "wrong_model"  # another model or other feature definitions than the batch was pinned to
    BAD_ANSWER = "bad_answer"  # not one probability for each row
    CIRCUIT_OPEN = "circuit_open"  # not asked, because it kept failing


class EndpointUsage:
    """What calls have cost since the last `take`; filled from several threads.

    Attributes:
        answered_s: seconds of each attempt that was answered with scores.
        retries: attempts after the first of their call.
        fallbacks: batches that the endpoint did not score, by reason.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answered_s: list[float] = []
        self.retries = 0
        self.fallbacks: Counter[str] = Counter()

    def answered(self, seconds: float) -> None:
        """Counts an answer."""
        with self._lock:
            self.answered_s.append(seconds)

    def retried(self) -> None:
        """Counts another attempt."""
        with self._lock:
            self.retries += 1

    def fell_back(self, reason: FallbackReason) -> None:
        """Counts a batch that something else scored."""
        with self._lock:
            self.fallbacks[reason.value] += 1

    def take(self) -> EndpointUsage:
        """Hands over the counts and starts again from zero."""
        taken = EndpointUsage()
        with self._lock:
            taken.answered_s, self.answered_s = self.answered_s, []
            taken.retries, self.retries = self.retries, 0
            taken.fallbacks, self.fallbacks = self.fallbacks, Counter()
        return taken
