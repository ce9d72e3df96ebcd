"""One program of the local stack, in a process group of its own that never outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from fraud.errors import FatalError

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Asks Linux to end this process when its parent dies, even by SIGKILL; elsewhere a no-op."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A running program.

    Args:
        name: what people call it; names its log file.
        command: program and arguments.
        folder: where its log file goes.
        environment: its whole environment; None passes ours on.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log_file = folder / f"{name}.log"
        self._log: IO[bytes] = self.log_file.open("wb")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            process_group=0,
            preexec_fn=_die_with_parent,
        )

    @property
    def pid(self) -> int:
        """Process id, also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Waits until `ready()` holds.

        Raises:
            FatalError: the program ended first, or did not get ready in time; the message quotes its last words.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise FatalError(f"{self.name} ended with exit code {self.exit_code}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise FatalError(f"{self.name} was not ready after {timeout_s:.0f} s: {self.last_words()}")
            time.sleep(0.05)

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for its end and returns the exit code."""
        return self._process.wait(timeout_s)

    def interrupt(self) -> None:
        """Asks it to finish (SIGINT), as Ctrl-C would."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends it and all its descendants at once (SIGKILL), as the loss of its machine would."""
        descendants = psutil.Process(self.pid).children(recursive=True) if self.exit_code is None else []
        self._process.kill()
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(descendants, timeout=30)
        self._process.wait()
        self._log.close()

    def stop(self, grace_s: float = 20.0) -> None:
        """Asks it to end (SIGTERM), then makes it and all its descendants end."""
        if self.exit_code is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def said(self, words: str) -> bool:
        """Whether its log contains the words."""
        return words.encode() in self.log_file.read_bytes()

    def last_words(self) -> str:
        """The last line of its log that is not empty."""
        lines = [line for line in self.log_file.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip() if lines else 'it said nothing'} (log: {self.log_file})"
