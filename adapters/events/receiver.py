"""The port to a receiver of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fraud.events.event import Event


class EventReceiver(Protocol):
    """Gets events, each at least once; it may get one again, and knows it by its id.

    Attributes:
        at_once: most events of one call.
    """

    at_once: int

    def require(self) -> None:
        """Stops a start that could not hand over events, as far as that can be seen without sending one.

        Raises:
            MisconfiguredError: naming the setting.
        """

    def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """Hands over events; returns when they are taken.

        Returns:
            Those that were not taken, each with the reason, in their order.

        Raises:
            ServiceError: none of them was taken.
        """
