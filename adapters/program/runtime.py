"""Threads, time and chance of what works in the background: what a simulation replaces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from adapters.aws.backoff import Backoff

Result = TypeVar("Result")


class Started(Protocol):
    """What works in the background."""

    def join(self, timeout: float | None = None, /) -> None:
        """Waits for its end, but no longer than so many seconds."""


class Runtime:
    """Those of this process."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Waits until an event is set, but no longer than so many seconds; whether it is."""
        return event.wait(seconds)

    def condition(self) -> threading.Condition:
        """A lock to wait with."""
        return threading.Condition()

    def result(self, future: Future[Result]) -> Result:
        """Waits for what another thread makes."""
        return future.result()

    def start(self, run: Callable[[], None], name: str) -> Started:
        """Runs a function in the background."""
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def backoff(self, first_s: float, longest_s: float, **limits: Any) -> Backoff:
        """Pauses between attempts."""
        return Backoff(first_s, longest_s, **limits)


RUNTIME = Runtime()
