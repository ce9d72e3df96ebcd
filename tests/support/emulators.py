"""Provisioned emulators for tests that talk to AWS."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.aws.provision import provision
from embedded.child import Child
from embedded.emulator import start_emulator
from fraud.settings import Aws, Settings


class Emulators:
    """Emulators of this process: one that is done with is emptied and used again, which is faster than a start."""

    def __init__(self) -> None:
        self._started: list[Child] = []
        self._idle: list[str] = []

    @contextmanager
    def one(self) -> Iterator[str]:
        """An empty one that nobody else uses while the context lasts; gives its address."""
        if not self._idle:
            child, url = start_emulator(Path(tempfile.mkdtemp(prefix="emulator-")))
            self._started.append(child)
            self._idle.append(url)
        url = self._idle.pop()
        yield url
        # Not after an error: what is still under way might write to it.
        with urllib.request.urlopen(urllib.request.Request(f"{url}/_ministack/reset", method="POST")):
            self._idle.append(url)

    def close(self) -> None:
        """Ends all."""
        for child in self._started:
            child.stop()


EMULATORS = Emulators()
"""Closed by `tests/conftest.py`."""


@contextmanager
def provisioned(settings: Settings | None = None) -> Iterator[Settings]:
    """Settings of an emulator with streams, table and bucket, that is this context's alone."""
    with EMULATORS.one() as url:
        located = (settings or Settings()).model_copy(update={"aws": Aws(endpoint_url=url)})
        provision(located)
        yield located
