"""Clients of the streams in a process of their own.

Writing and reading the JSON of a large call takes the interpreter for many milliseconds at a stretch, in which no
answer could leave. What crosses the pipe is pickled, which takes a twentieth of that.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import structlog

from decision_service.streams import in_words
from fraud.errors import FatalError, FraudError

log = structlog.get_logger()

Function = Callable[..., Any]

_BEHIND = 5
"""Niceness: answers come first, and a quarter of a busy core is left."""

_END_S = 5.0


class Apart:
    """A process that runs functions for this one, each for one caller at a time.

    It ends with this process, however that ends. A signal to end does not end it, since records may wait to be put.

    Args:
        begin: called there first, to set up logging; what is passed must be picklable, as below.
        most: how many functions it will run.
    """

    def __init__(self, begin: Callable[[], None], most: int) -> None:
        context = get_context("spawn")
        pipes = [context.Pipe() for _ in range(most)]
        self._pipes = [ours for ours, _ in pipes]
        self._free = self._pipes.copy()
        self._process = context.Process(target=_serve, args=(begin, [theirs for _, theirs in pipes]), daemon=True)
        self._process.start()
        for _, theirs in pipes:
            theirs.close()
        atexit.register(self.close)

    def function(self, make: Callable[[], Function]) -> Function:
        """Makes a function there.

        Args:
            make: makes it.

        Returns:
            The same function for callers here: its errors come back, and FatalError once the process has ended.

        Raises:
            Exception: what `make` raised.
        """
        pipe = self._free.pop()

        def call(*arguments: Any) -> Any:
            return self._ask(pipe, arguments)

        self._ask(pipe, make)
        return call

    @property
    def pid(self) -> int | None:
        """Its number."""
        return self._process.pid

    def close(self) -> None:
        """Ends it, after the calls that are under way."""
        for pipe in self._pipes:
            pipe.close()
        self._process.join()

    def _ask(self, pipe: Connection, message: Any) -> Any:
        try:
            pipe.send(message)
            failure, result = pipe.recv()
        except (EOFError, OSError):
            self._process.join(_END_S)
            raise FatalError(
                f"the process that reads and writes the streams ended with exit code {self._process.exitcode}"
            ) from None
        if failure is not None:
            raise failure
        return result


def _serve(begin: Callable[[], None], pipes: list[Connection]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_BEHIND)
    begin()
    threads = [threading.Thread(target=_answer, args=(pipe,), daemon=True) for pipe in pipes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _answer(pipe: Connection) -> None:
    """Makes the function that the first message asks for, and calls it with what follows, until nobody asks."""
    function: Function | None = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if function is None:
                function, result = message(), None
            else:
                result = function(*message)
            answer: tuple[Exception | None, Any] = (None, result)
        except FraudError as error:
            answer = (error, None)
        except Exception as error:  # a library's own, which the other process may not know
            log.exception("call_failed")
            answer = (RuntimeError(in_words(error)), None)
        with suppress(OSError):  # nobody is there any more, as the next message says
            pipe.send(answer)
