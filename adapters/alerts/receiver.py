"""The port to whoever gets the job's alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.alerts.alert import Item


class AlertReceiver(Protocol):
    """Gets the alerts of every batch.

    The sink hands a batch's alerts (`adapters.alerts.alert.alert_item`) to each receiver in turn, after the decisions
    are stored and before the batch counts as committed. Where one fails, or the job dies in between, the batch comes
    again with the same alerts, to every receiver. So what a receiver has taken it must know again, by `alert_id`, the
    decision key (`fraud.decision.key`): each alert takes effect once, and none is lost.

    Attributes:
        name: in metrics.
    """

    name: str

    def require_writable(self) -> None:
        """Stops a start that could not hand alerts over.

        Raises:
            MisconfiguredError: naming what is missing.
            RetryableError: the receiver is too busy to say.
        """

    def put_new(self, items: Sequence[Item]) -> list[bool]:
        """Takes alerts that it does not have yet, each for itself.

        Returns:
            For each alert whether it was new; False where it was taken before.

        Raises:
            RetryableError: some could not be taken; the batch comes again.
            FatalError: one is refused for good.
        """

    def take_retries(self) -> int:
        """How many calls or alerts were tried again since the last time this was asked."""
