"""Collects and delivers until the program shall end: one thread for each receiver, so that none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from adapters.aws.backoff import Backoff
from adapters.program.metrics import EVENTS_COLLECTED, Metric
from fraud.errors import FraudError
from operations.events.collection import Collection
from operations.events.delivery import Delivery

_LONGEST_BACKOFF_S = 30.0

log = structlog.get_logger()


class EventsProgram:
    """Runs a collection and the deliveries of all receivers.

    Args:
        collection: fills the outbox.
        deliveries: by receiver.
        ending: is set when the program shall end.
        poll_s: between two looks for what is new.
        from_first: whether a new receiver gets what the outbox holds already.
        add: raises a counter.
        beat: called after each look.
    """

    def __init__(
        self,
        collection: Collection,
        deliveries: Mapping[str, Delivery],
        ending: threading.Event,
        poll_s: float,
        from_first: bool,
        add: Callable[[Metric, float], None],
        beat: Callable[[], None],
    ) -> None:
        self._collection = collection
        self._deliveries = deliveries
        self._ending = ending
        self._poll_s = poll_s
        self._from_first = from_first
        self._add = add
        self._beat = beat
        self._failure: Exception | None = None

    def run(self) -> None:
        """Runs until `ending` is set; a turn that is under way is finished.

        Raises:
            FraudError: a receiver cannot be given its place.
            Exception: a fault of ours in any thread, which ends the others as well.
        """
        for delivery in self._deliveries.values():
            delivery.begin(self._from_first)
        threads = [
            threading.Thread(target=self._repeat, args=(f"delivery to {name}", delivery.turn), name=name)
            for name, delivery in self._deliveries.items()
        ]
        for thread in threads:
            thread.start()
        self._repeat("collection", self._collect)
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _collect(self) -> int:
        found = self._collection.turn()
        self._add(EVENTS_COLLECTED, found)
        self._beat()
        return found

    def _repeat(self, work: str, turn: Callable[[], int]) -> None:
        """Turns again and again, at once while there is something to do; a failure is logged once and tried again."""
        backoff = Backoff(self._poll_s, _LONGEST_BACKOFF_S, sleep=self._ending.wait)
        problem = ""
        while not self._ending.is_set():
            try:
                done = turn()
            except FraudError as error:
                if str(error) != problem:
                    problem = str(error)
                    log.warning("events_wait", work=work, problem=problem)
                backoff.pause()
                continue
            except Exception as error:
                self._failure = error
                self._ending.set()
                return
            problem = ""
            backoff.succeeded()
            if not done:
                self._ending.wait(self._poll_s)
