"""A module of ours at work in a process of its own: one request in, messages out, never longer than its parent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


class ChildWork:
    """The process, started.

    Args:
        module: is run; it reads one line of JSON from standard input and ends when that ends, so that it outlives no
            parent, however that dies. On standard output it writes messages, a line of JSON each; on standard error
            what belongs into its parent's log.
        request: for it.
    """

    def __init__(self, module: str, request: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its exit code says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def messages(self) -> Iterator[str]:
        """Its messages as they come; ends when it does."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def exit_code(self) -> int:
        """Waits for its end."""
        return self._process.wait()

    def stop(self) -> None:
        """Ends it at once, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
