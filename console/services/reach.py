"""Whether something can be reached, as pages show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import structlog

log = structlog.get_logger()

Clock = Callable[[], int]
"""Epoch milliseconds."""


class Reach(NamedTuple):
    """Whether something can be reached.

    Attributes:
        works: None before the first look.
        since_ms: since when it is so.
    """

    works: bool | None
    since_ms: int


class Watched:
    """What pages are fed from in the background: looks at it when called, and remembers whether that worked.

    Args:
        name: for the log.
        look: takes up what is new; raises where it is out of reach.
        clock: the time.

    Attributes:
        reach: how the last look ended.
    """

    def __init__(self, name: str, look: Callable[[], object], clock: Clock) -> None:
        self._name = name
        self._look = look
        self._clock = clock
        self.reach = Reach(None, clock())

    def __call__(self) -> None:
        """Looks once; a failure is logged when it begins, and does not end the looking."""
        try:
            self._look()
        except Exception as error:
            if self.reach.works is not False:
                log.warning("out_of_reach", what=self._name, reason=str(error))
                self.reach = Reach(False, self._clock())
        else:
            if self.reach.works is not True:
                log.info("within_reach", what=self._name)
                self.reach = Reach(True, self._clock())
