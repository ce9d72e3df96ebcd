"""Events as lines of a file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from fraud.errors import MisconfiguredError, UnavailableError
from fraud.events.event import Event, encode_event


class FileReceiver:
    """Appends each event as a line of JSON, durable on return. See `adapters.events.receiver.EventReceiver`.

    Args:
        setting: that names it, for messages.
        path: of the file; its folder is made.
    """

    at_once = 100

    def __init__(self, setting: str, path: Path) -> None:
        self._setting = setting
        self._path = path

    def require(self) -> None:
        """See `EventReceiver`: opens the file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.open("ab").close()
        except OSError as error:
            raise MisconfiguredError(self._setting, f"{self._path}: {error.strerror}") from None

    def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """See `EventReceiver`."""
        try:
            with self._path.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _cut_torn_line(file.fileno())
                file.write(b"".join(encode_event(event) + b"\n" for event in events))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UnavailableError("file", "append", "error", f"{self._path}: {error.strerror}") from None
        return []


def _cut_torn_line(file: int) -> None:
    """Removes what a process that was killed has left of a line: its event comes again."""
    end = os.fstat(file).st_size
    kept = end
    while kept and os.pread(file, 1, kept - 1) != b"\n":
        kept -= 1
    if kept < end:
        os.ftruncate(file, kept)
