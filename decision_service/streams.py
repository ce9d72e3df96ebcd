"""The streams: what others write comes in, what was answered goes out. One thread for each direction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from adapters.aws.stream_writer import StreamRecord
from adapters.program.runtime import RUNTIME, Runtime, Started
from decision_service.gathering import Gathering
from decision_service.journal import Done, Journal
from fraud.errors import FatalError, FraudError

log = structlog.get_logger()

_PAUSE_S = 1.0
_PACE_S = 0.2
_GROUP = 500


Put = Callable[[Sequence[StreamRecord]], None]
"""Puts records on the stream of transactions; returns when all are accepted, in order for each card, or FraudError."""


class Shipper:
    """Puts what stands in the journal on the stream, in its order, and remembers how far it is.

    After a crash, the last records may go out twice: they are known by their decision key.

    Args:
        journal: of the answers.
        put: puts records on the stream.
        note: file that remembers the place.
        runtime: gives the thread.
    """

    def __init__(self, journal: Journal, put: Put, note: Path, runtime: Runtime = RUNTIME) -> None:
        self._journal = journal
        self._put = put
        self._note = note
        self.place = max(journal.begin, _noted(note, journal.end))
        self._closing = threading.Event()
        self._runtime = runtime
        self._thread: Started | None = None

    def start(self) -> None:
        """Begins."""
        self._thread = self._runtime.start(self._run, "shipper")

    @property
    def behind_bytes(self) -> int:
        """What is durable and not on the stream yet."""
        return self._journal.durable - self.place

    def close(self, wait_s: float) -> None:
        """Ends once everything is on the stream, or after so long; the next start goes on from there."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()  # asked first: what became durable before the end was asked for is put
            if not self._journal.wait_beyond(self.place, 0.2):
                if closing:
                    return
                continue
            self._runtime.wait(self._closing, _PACE_S)  # few large calls: each takes time from the answers
            try:
                self._ship()
            except FraudError as error:
                log.warning("stream_does_not_take", problem=str(error), waiting_bytes=self.behind_bytes)
                if self._runtime.wait(self._closing, _PAUSE_S):
                    return

    def _ship(self) -> None:
        until = self._journal.durable
        group: list[StreamRecord] = []
        place = self.place
        for entry in self._journal.read(place):
            group.append(StreamRecord(card_of(entry.data), entry.data))
            place = entry.end
            if len(group) == _GROUP:
                break
        if group:
            self._put(group)
        if len(group) < _GROUP:
            place = max(place, until)
        self.place = place
        draft = self._note.with_suffix(".draft")
        draft.write_text(str(place))
        draft.replace(self._note)


class Direct:
    """Durable is what the stream has accepted: no journal.

    Args:
        put: puts records on the stream.
        runtime: gives the thread.
    """

    def __init__(self, put: Put, runtime: Runtime = RUNTIME) -> None:
        self._put = put
        self.failure: BaseException | None = None
        self._gathering = Gathering[tuple[bytes, Done]](self._take, "stream", runtime)

    def append(self, data: bytes, done: Done) -> None:
        """Has a record put behind all others; see `Journal.append`."""
        self._gathering.put((data, done))

    def close(self) -> None:
        """Puts what waits and ends."""
        self._gathering.close()

    def _take(self, group: Sequence[tuple[bytes, Done]]) -> None:
        try:
            if self.failure is None:
                self._put([StreamRecord(card_of(data), data) for data, _ in group])
        except FraudError as error:
            self.failure = error
            log.error("stream_does_not_take", problem=in_words(error))
        for _, done in group:
            done(self.failure)


class Arrived(Protocol):
    """Records of a shard that have come."""

    @property
    def place(self) -> tuple[str, str]:
        """Stream and shard."""

    @property
    def position(self) -> Mapping[str, Any]:
        """Behind them, in the stored form of offsets."""

    @property
    def records(self) -> Sequence[tuple[tuple[str, str, str, int, int], bytes]]:
        """Arrival (stream, shard, sequence number, sub-sequence, milliseconds) and bytes of each."""

    @property
    def lag_ms(self) -> int:
        """How far the last of them is behind the shard's tip."""


Read = Callable[[], Sequence[Arrived]]
"""What has come in each shard since the call before; may raise FraudError, after which the next call goes on."""


class Follower:
    """Reads the streams in the background and hands on what comes.

    Args:
        read: see `Read`.
        hand_on: takes what one round of reads gave, and returns when it is folded.
        poll_s: least time between two rounds: readers of a shard share 5 reads a second.
        ended: gets the reason for which nothing is read any more, unless it was closed.
        runtime: gives thread and time.
    """

    def __init__(
        self,
        read: Read,
        hand_on: Callable[[Sequence[Arrived]], None],
        poll_s: float,
        ended: Callable[[BaseException], None],
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._read = read
        self._hand_on = hand_on
        self._poll_s = poll_s
        self._ended = ended
        self._runtime = runtime
        self._closing = threading.Event()
        self._thread: Started | None = None

    def start(self) -> None:
        """Begins."""
        self._thread = self._runtime.start(self._run, "follower")

    def close(self) -> None:
        """Ends after the round that is under way. What it hands on must still be taken."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            began = self._runtime.monotonic()
            try:
                arrived = self._read()
                self._hand_on(arrived)
            except BaseException as error:
                # Of anything else than a failed call it is not known how much was handed on and folded.
                if isinstance(error, FatalError) or not isinstance(error, FraudError):
                    unexpected = None if isinstance(error, FatalError) else error
                    log.error("following_ended", problem=in_words(error), exc_info=unexpected)
                    self._ended(error)
                    return
                log.warning("stream_not_read", problem=in_words(error))
            self._runtime.wait(self._closing, max(0.0, self._poll_s - (self._runtime.monotonic() - began)))


def in_words(error: BaseException) -> str:
    """What an error says, with its kind where it is none of ours: some of those say nothing.

    >>> in_words(TimeoutError())
    'TimeoutError'
    """
    said = str(error)
    return said if said and isinstance(error, FraudError) else ": ".join(filter(None, (type(error).__name__, said)))


class _Card(msgspec.Struct):
    card_token: str


class _Sealed(msgspec.Struct):
    transaction: _Card


_parse = msgspec.json.Decoder(_Sealed).decode


def card_of(data: bytes) -> str:
    """The card of a record with its decision: the key that it goes on the stream by."""
    return _parse(data).transaction.card_token


def _noted(note: Path, most: int) -> int:
    try:
        return min(most, int(note.read_text()))
    except (OSError, ValueError):
        return 0
