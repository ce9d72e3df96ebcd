"""Threads, time and chance of the source: what a simulation replaces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from adapters.aws.backoff import Backoff


class Runtime:
    """Those of this process."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Waits until an event is set, but no longer than so many seconds."""
        event.wait(seconds)

    def start(self, run: Callable[[], None], name: str) -> None:
        """Runs a function in the background."""
        threading.Thread(target=run, name=name, daemon=True).start()

    def backoff(self, first_s: float, longest_s: float, **limits: Any) -> Backoff:
        """Pauses between attempts."""
        return Backoff(first_s, longest_s, **limits)


RUNTIME = Runtime()
