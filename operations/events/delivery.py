"""Delivers the outbox to one receiver: in order, each event at least once, from where it stands on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from adapters.aws.backoff import Backoff
from adapters.events.outbox import Entry, Outbox, Standing
from adapters.events.receiver import EventReceiver
from adapters.program.metrics import EVENTS_DELIVERED, EVENTS_LAG_MS, EVENTS_PAUSED, EVENTS_RETRIES, Metric
from fraud.errors import ServiceError
from fraud.events.event import Event
from operations.events.rendering import Render

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 60.0
_NOTE_EVERY_S = 1.0
"""How long a standing may lag behind what was delivered: so much is sent again after a kill."""

log = structlog.get_logger()


class Patience(NamedTuple):
    """How long a receiver is waited for, in seconds.

    Attributes:
        give_up_s: for which events are sent again and again before it is paused.
        pause_s: until a paused one is tried once.
    """

    give_up_s: float
    pause_s: float


class Figures(NamedTuple):
    """Where metrics go.

    Attributes:
        add: raises a counter by an amount, given the labels.
        set: sets a gauge, given the labels.
    """

    add: Callable[[Metric, float, str], None]
    set: Callable[[Metric, float, str], None]


class _LeaveOffError(Exception):
    """The turn ends here: the program shall end, or somebody else has changed the standing."""


class Delivery:
    """Brings one receiver up to the end of the outbox.

    Args:
        name: of the receiver.
        receiver: takes events.
        wants: whether it wants an event.
        outbox: is delivered.
        render: the events of a reference.
        patience: with it.
        figures: where they go.
        wait: waits for so many seconds; True, at once, when the program shall end.
        clock: seconds since 1970 UTC.
        backoff: makes the pauses between attempts.
    """

    def __init__(
        self,
        name: str,
        receiver: EventReceiver,
        wants: Callable[[Event], bool],
        outbox: Outbox,
        render: Render,
        patience: Patience,
        figures: Figures,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.time,
        backoff: Callable[..., Backoff] = Backoff,
    ) -> None:
        self._name = name
        self._receiver = receiver
        self._wants = wants
        self._outbox = outbox
        self._render = render
        self._patience = patience
        self._figures = figures
        self._wait = wait
        self._clock = clock
        self._make_backoff = backoff
        self._standing, self._stored, self._tag = Standing(), Standing(), ""
        self._noted_at = self._tried_at = -float("inf")

    def begin(self, from_first: bool) -> None:
        """Gives a receiver that is new its place, before anything is collected that it is to have.

        Args:
            from_first: whether it gets what the outbox holds already.
        """
        if self._outbox.standing(self._name)[1] is None:
            last = self._outbox.last()
            entry = 0 if from_first or last is None else last.number
            self._outbox.set_standing(self._name, Standing(entry), None)

    def turn(self) -> int:
        """Delivers what there is; gives how many events were taken.

        Where the receiver fails for too long, it is paused: its standing says so, and a later turn tries it once each
        `pause_s`. Where somebody else changes the standing, as `fraud receivers replay` does, that one counts.

        Raises:
            FraudError: the outbox, or what it refers to, cannot be read; nothing is lost.
        """
        standing, tag = self._outbox.standing(self._name)
        if tag is None or self._rests(standing):
            self._show(standing)
            return 0
        self._standing = self._stored = standing
        self._tag = tag
        try:
            for entry in self._outbox.after(standing.entry):
                self._deliver_entry(entry)
                self._note(at_least_s=_NOTE_EVERY_S)
            self._note()
        except _LeaveOffError:
            pass
        self._show(self._standing)
        return self._standing.delivered - standing.delivered

    def _rests(self, standing: Standing) -> bool:
        return standing.paused_ms is not None and self._clock() - self._tried_at < self._patience.pause_s

    def _deliver_entry(self, entry: Entry) -> None:
        for batch in self._batches(entry):
            self._deliver(batch)
            resumed = self._standing.paused_ms is not None
            if resumed:
                log.info("receiver_resumed", receiver=self._name)
            self._standing = replace(
                self._standing,
                after=batch[-1].id,
                delivered=self._standing.delivered + len(batch),
                delivered_ms=self._now_ms(),
                paused_ms=None,
                problem="",
            )
            self._figures.add(EVENTS_DELIVERED, len(batch), self._name)
            self._note(at_least_s=0 if resumed else _NOTE_EVERY_S)
        self._standing = replace(self._standing, entry=entry.number, after="")

    def _batches(self, entry: Entry) -> Iterator[list[Event]]:
        """What the receiver wants of an entry and does not have yet, as many at a time as it takes."""
        events = [event for reference in entry.references for event in self._render(reference)]
        had = next((place for place, event in enumerate(events, 1) if event.id == self._standing.after), 0)
        wanted = [event for event in events[had:] if self._wants(event)]
        for start in range(0, len(wanted), self._receiver.at_once):
            yield wanted[start : start + self._receiver.at_once]

    def _deliver(self, events: Sequence[Event]) -> None:
        """Sends events until all are taken; pauses the receiver where they are not for too long."""
        deadline_s = time.monotonic() + self._patience.give_up_s
        attempts = 1 if self._standing.paused_ms is not None else None
        backoff = self._make_backoff(
            _FIRST_BACKOFF_S, _LONGEST_BACKOFF_S, attempts=attempts, deadline_s=deadline_s, sleep=self._wait
        )
        left = list(events)
        while True:
            left, problem = self._attempt(left)
            if not left:
                return
            if self._wait(0):
                raise _LeaveOffError
            log.warning("events_not_taken", receiver=self._name, events=len(left), first=left[0].id, problem=problem)
            if not backoff.pause():
                self._pause(problem)
            self._figures.add(EVENTS_RETRIES, len(left), self._name)

    def _attempt(self, events: list[Event]) -> tuple[list[Event], str]:
        """Sends events once; those that were not taken, and why."""
        try:
            refused = self._receiver.send(events)
        except ServiceError as error:
            return events, str(error)
        return [event for event, _ in refused], refused[0][1] if refused else ""

    def _pause(self, problem: str) -> None:
        self._tried_at = self._clock()
        since = self._standing.paused_ms or self._now_ms()
        self._standing = replace(self._standing, paused_ms=since, problem=problem)
        log.error("receiver_paused", receiver=self._name, problem=problem, tried_again_in_s=self._patience.pause_s)
        self._note()
        raise _LeaveOffError

    def _note(self, at_least_s: float = 0) -> None:
        """Stores the standing where it has changed and the last one is so old."""
        if self._standing == self._stored or time.monotonic() - self._noted_at < at_least_s:
            return
        if not self._outbox.set_standing(self._name, self._standing, self._tag):
            raise _LeaveOffError
        self._stored, self._noted_at = self._standing, time.monotonic()
        self._tag = self._outbox.standing(self._name)[1] or ""

    def _show(self, standing: Standing) -> None:
        behind = next(self._outbox.after(standing.entry), None)
        self._figures.set(EVENTS_LAG_MS, 0 if behind is None else self._now_ms() - behind.at_ms, self._name)
        self._figures.set(EVENTS_PAUSED, standing.paused_ms is not None, self._name)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
