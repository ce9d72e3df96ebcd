"""The S3 of a chaos run: an emulator of its own that keeps what it has answered for, so that it may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.child import Child
from embedded.emulator import free_port, start_emulator


class ObjectStore:
    """A running emulator for S3.

    Args:
        folder: for its log and objects.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._port = free_port()
        self._child: Child
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Starts it with the objects that are there, and waits until it answers."""
        self._child, _ = start_emulator(self._folder, self._port, keep_objects=True)

    def kill(self) -> None:
        """Ends it at once."""
        self._child.kill()

    def stop(self) -> None:
        """Ends it."""
        self._child.stop()


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Runs a store for as long as the context lasts."""
    store = ObjectStore(folder)
    try:
        yield store
    finally:
        store.stop()
