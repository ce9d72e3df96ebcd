"""Where passwords are hashed: a few at a time, the rest in a line of bounded length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from console.access import TooManyFailuresError

HASHES = 8
"""Most passwords that are hashed at the same time: each takes 16 MiB and a processor for a while."""

WAITING = 64
"""Most that wait for it, some ten seconds on two processors. Who waits holds no thread: others are answered."""

_T = TypeVar("_T")
_line = RunVar[CapacityLimiter]("passwords")


async def in_line(hashes: Callable[[], _T]) -> _T:
    """Does work that hashes a password when its turn has come.

    Raises:
        TooManyFailuresError: too many wait already.
    """
    limiter = _line.get(None)
    if limiter is None:
        limiter = CapacityLimiter(HASHES)
        _line.set(limiter)
    if limiter.statistics().tasks_waiting >= WAITING:
        raise TooManyFailuresError("too many sign in at the same time", 1.0)
    return await to_thread.run_sync(hashes, limiter=limiter)
