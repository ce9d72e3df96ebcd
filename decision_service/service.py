"""The service: requests, the engine, what is durable, what is kept, the streams; on one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import msgspec
import structlog

from adapters.model.endpoint_usage import EndpointUsage
from adapters.program.metrics import (
    DECIDE_ANSWERS,
    DECIDE_LAG_MS,
    DECIDE_PROCESSOR_S,
    DECIDE_S,
    DECIDE_STAGE_S,
    DECIDE_UNSHIPPED_BYTES,
    ENDPOINT_FALLBACKS,
    ENDPOINT_RETRIES,
    ENDPOINT_S,
    Metric,
)
from adapters.program.runtime import RUNTIME, Runtime, Started
from adapters.program.telemetry import Telemetry
from decision_service import snapshot
from decision_service.answers import Answers, Kept
from decision_service.engine import TAKEN, Decided, Engine, Refusal, Undecided, content_of
from decision_service.journal import Done, Journal
from decision_service.scoring import RemoteScorer, Scoring, Waiting
from decision_service.streams import Arrived, Follower, Read, Shipper, in_words
from fraud.decision.scorer import Scored, Scores
from fraud.errors import FatalError
from fraud.records import Row
from fraud.records.arrival import ARRIVAL_COLUMNS, DUPLICATE_HORIZON_MS
from fraud.settings import Decide

log = structlog.get_logger()

CAUGHT_UP_MS = 1_000
"""As near to the end of a stream as counts as caught up."""

Positions = dict[str, dict[str, dict[str, Any]]]
"""By stream and shard, what of it the state holds: the stored form of the source's offsets."""

Payment = tuple[str, str]
"""Card and transaction id: calls with these ask for the same decision."""

_MOST_NOT_KEPT = 20_000
"""Answers that the index does not have yet, beyond which the service is overloaded."""

_GATHER_S = 0.25
_TICK_S = 0.02
_SHED_S = 0.25
_AT_ONCE_S = 0.001
_BEHIND = 19  # niceness of what takes no time from answers
_EXPIRE_S = 5.0
_PAUSE_S = 1.0
_SHIP_AT_END_S = 10.0


class Durable(Protocol):
    """Makes records durable in order: the journal, or the stream itself."""

    def append(self, data: bytes, done: Done) -> None:
        """See `decision_service.journal.Journal.append`."""

    def close(self) -> None:
        """Makes durable what waits, and ends."""


class Given(NamedTuple):
    """What a transaction was answered.

    Attributes:
        kept: the answer.
        repeated: whether it had been given before.
    """

    kept: Kept
    repeated: bool


class _Pending(NamedTuple):
    """A payment whose answer the index does not have yet, and whoever waits for that to be durable."""

    content: bytes
    future: asyncio.Future[Kept]


class _Concluding(NamedTuple):
    """A transaction that is folded, and its scores, once it has them."""

    payment: Payment
    undecided: Undecided
    scores: Scores


class _Outcome(NamedTuple):
    """What became of an entry that had to become durable."""

    payment: Payment
    kept: Kept
    failure: BaseException | None
    began: int


class Places(NamedTuple):
    """Where the service keeps what.

    Attributes:
        snapshots: folder of snapshots.
        definition: what values depend on; snapshots of another are not taken.
    """

    snapshots: Path
    definition: str


class Service:
    """Everything between the HTTP interface and the disk.

    Args:
        settings: `decide`.
        engine: decides.
        answers: keeps them.
        durable: what makes a record durable.
        journal: the same, where it is the journal.
        shipper: puts the journal on the stream; None without a journal.
        places: of snapshots.
        telemetry: takes metrics.
        now_ms: UTC milliseconds.
        runtime: gives threads and time.
        endpoint: counts what calls of the model's endpoint cost; None where the engine's scorer is in process.
    """

    def __init__(
        self,
        settings: Decide,
        engine: Engine,
        answers: Answers,
        durable: Durable,
        journal: Journal | None,
        shipper: Shipper | None,
        places: Places,
        telemetry: Telemetry,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        runtime: Runtime = RUNTIME,
        endpoint: EndpointUsage | None = None,
    ) -> None:
        self.engine = engine
        self.answers = answers
        self.telemetry = telemetry
        self.now_ms = now_ms
        self.lag_ms: int | None = None
        self.positions: Positions = {}
        self.failure: BaseException | None = None
        self._settings = settings
        self._durable, self._journal, self._shipper = durable, journal, shipper
        self._places = places
        self._pending: dict[Payment, _Pending] = {}
        self._undurable = 0
        self._endpoint = endpoint
        self._scoring: Scoring | None = None
        if endpoint is not None:
            self._scoring = Scoring(lambda: cast(RemoteScorer, engine.scorer), settings.budget_ms / 1000, runtime)
        self._unscored = 0  # folded, and not on their way to the disk
        self._scored: deque[_Concluding] = deque()  # put by the thread that scores, taken by the loop
        self._may_begin, self._none_unscored = asyncio.Event(), asyncio.Event()
        self._may_begin.set()
        self._outcomes: deque[_Outcome] = deque()  # put by the thread that knows them, taken by the loop
        self._woken = False
        self._runtime = runtime
        self._keeper = _Keeper(answers, settings.keep_hours, now_ms, self._are_kept, runtime)
        self.late_s = 0.0
        self._answered: dict[int, list[float]] = defaultdict(list)  # seconds by status, not yet in the metrics
        self._counted_s: dict[tuple[Metric, str], float] = {}
        self._snapshot_place = 0
        self._folding: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follower: Follower | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    # Start and end.

    def recover(self, begin: Callable[[], Positions] = dict) -> None:
        """Goes on from the newest snapshot and what the journal has behind it. Before the loop runs.

        Args:
            begin: without a snapshot, makes the state that it begins with; gives what of the streams that holds.

        Raises:
            FatalError: the journal lacks what came after the snapshot.
        """
        began, place, folded = time.monotonic(), 0, 0
        found = snapshot.newest(self._places.snapshots, self._places.definition)
        if found is not None:
            meta, pieces = found
            self.engine.load(pieces)
            self.positions, place = meta.positions, meta.journal
        else:
            self.positions = begin()
        if self._journal is not None:
            if found is not None and not self._journal.begin <= place <= self._journal.end:
                raise FatalError(
                    f"the journal begins at {self._journal.begin} and ends at {self._journal.end}, the snapshot needs "
                    f"it from {place}: restore the journal, or remove the snapshots to begin from the streams"
                )
            group: list[Kept] = []
            for entry in self._journal.read(place):
                place_there = ("journal", "0", str(entry.end), 0, 0)
                kept = self.engine.fold(Row(zip(ARRIVAL_COLUMNS, place_there, strict=True)), entry.data)
                folded += 1
                if kept is None:
                    log.error("journal_entry_not_folded", place=entry.end)
                else:
                    group.append(kept)
            self.answers.keep(group)
        self._snapshot_place = place
        log.info("state recovered", journal_entries=folded, seconds=round(time.monotonic() - began, 3))

    def follow(self, read: Read, poll_s: float) -> None:
        """Has the streams read on once it starts.

        Args:
            read: reads them, from `positions` on.
            poll_s: least time between two rounds of reads.
        """
        self._follower = Follower(read, self.hand_on, poll_s, self._does_not_follow, self._runtime)

    def _does_not_follow(self, error: BaseException) -> None:
        """The state lacks what others write: another start reads it again, from the snapshot's positions."""
        self._on_loop(self._fail, error)

    async def start(self) -> None:
        """Begins; in the loop that serves."""
        self._loop = asyncio.get_running_loop()
        self._folding = asyncio.Lock()
        self._keeper.start()
        if self._shipper is not None:
            self._shipper.start()
        for work in (self._watch(), self._take_snapshots()):
            task = asyncio.create_task(work)
            self.tasks.add(task)
        if self._follower is not None:
            self._follower.start()

    async def end(self) -> None:
        """Ends what works in the loop and with it, as the last in the loop that serves."""
        if self._follower is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._follower.close)
        for task in self.tasks:
            task.cancel()

    def close(self) -> None:
        """Ends after the loop: what waits becomes durable, goes on the stream, and the state is kept."""
        if self._scoring is not None:
            self._scoring.close()
            self._take_scored()
        self._durable.close()
        self._keep_outcomes()
        self._keeper.close()
        if self._shipper is not None:
            self._shipper.close(_SHIP_AT_END_S)
        if self.failure is None:
            self.answers.sync()
            meta = self._meta()
            folder = self._places.snapshots
            snapshot.publish(folder, snapshot.write(folder, meta, self.engine.dump()), meta)
        self.answers.close()

    @property
    def failure_in_words(self) -> str:
        """Why it ends."""
        return "" if self.failure is None else in_words(self.failure)

    @property
    def ready(self) -> bool:
        """Whether it has caught up and everything works."""
        return self.failure is None and self.lag_ms is not None

    @property
    def overloaded(self) -> bool:
        """Whether more is waiting than can be answered soon."""
        waiting = self._unscored + self._undurable
        return self.late_s > _SHED_S or waiting > self._settings.waiting or len(self._pending) > _MOST_NOT_KEPT

    # Decisions.

    async def decide(self, body: bytes) -> Given | Refusal:
        """Decides a transaction, or gives the answer that it had; returns once that is durable.

        Raises:
            FatalError: it cannot be made durable; nothing was answered.
        """
        row = self.engine.read(body, self.now_ms())
        if isinstance(row, Refusal):
            return row
        payment: Payment = (row["card_token"], row["transaction_id"])
        content = content_of(row)
        await self._may_begin.wait()
        if (pending := self._pending.get(payment)) is not None:
            if pending.content != content:
                return TAKEN
            return Given(await asyncio.shield(pending.future), True)
        if self.failure is not None:
            raise FatalError(str(self.failure))
        # The index remembers longer than the card's state, whose memory of events is bounded.
        if (known := self._known(payment, content, row["arrival_ms"])) is not None:
            return known
        in_time = self.late_s * 1000 <= self._settings.budget_ms
        if self._scoring is None:
            decided = self.engine.decide(row, content, self.now_ms, in_time)
            if isinstance(decided, Refusal):
                return decided
            future = self._is_pending(payment, content)
            self._append(payment, decided)
        else:
            undecided = self.engine.begin(row, content)
            if isinstance(undecided, Refusal):
                return undecided
            future = self._is_pending(payment, content)
            self._unscored += 1
            self._none_unscored.clear()
            then = partial(self._is_scored, payment, undecided)
            self._scoring.put(Waiting(undecided.features, in_time, then))
        return Given(await future, False)

    def _is_pending(self, payment: Payment, content: bytes) -> asyncio.Future[Kept]:
        assert self._loop is not None
        future: asyncio.Future[Kept] = self._loop.create_future()
        self._pending[payment] = _Pending(content, future)
        return future

    def _is_scored(self, payment: Payment, undecided: Undecided, scores: Scores) -> None:
        """Called from the thread that scores, for one after the other; the loop is woken once for many."""
        self._scored.append(_Concluding(payment, undecided, scores))
        if len(self._scored) == 1:
            self._on_loop(self._take_scored)

    def _take_scored(self) -> None:
        while self._scored:
            payment, undecided, scores = self._scored.popleft()
            self._unscored -= 1
            try:
                decided = self.engine.conclude(undecided, Scored(scores, self.engine.scorer), self.now_ms)
            except Exception as error:  # what is folded has no answer
                self._fail_one(self._pending.pop(payment), error)
                continue
            self._append(payment, decided)
        if not self._unscored:
            self._none_unscored.set()

    def _append(self, payment: Payment, decided: Decided) -> None:
        began = time.perf_counter_ns()
        self._undurable += 1
        self._durable.append(decided.record, lambda failure: self._is_durable(payment, decided.kept, failure, began))

    def _known(self, payment: Payment, content: bytes, received_ms: int) -> Given | Refusal | None:
        """What the index says to a call: the answer there was, or that the transaction id is taken."""
        known = self.answers.of_payment(*payment)
        for kept in known:
            if kept.content == content:
                return Given(kept, True)
        recent = [kept for kept in known if received_ms - kept.received_ms <= DUPLICATE_HORIZON_MS]
        return TAKEN if any(is_on(kept.answer, *payment) for kept in recent) else None

    def find(self, key: str) -> Kept | None:
        """The answer of a decision key, where it is kept."""
        return self.answers.by_key(key)

    def find_all(self, card_token: str, transaction_id: str) -> list[bytes]:
        """The answers on a card's transactions of an id, the newest first."""
        found = self.answers.of_payment(card_token, transaction_id)
        return [kept.answer for kept in found if is_on(kept.answer, card_token, transaction_id)]

    def _is_durable(self, payment: Payment, kept: Kept, failure: BaseException | None, began: int) -> None:
        """Called from the thread that made it so, for one after the other; the loop is woken once for many."""
        self._outcomes.append(_Outcome(payment, kept, failure, began))
        if not self._woken:
            self._woken = True
            self._on_loop(self._take_outcomes)

    def _take_outcomes(self) -> None:
        self._woken = False
        outcomes = self._keep_outcomes()
        now = time.perf_counter_ns()
        for outcome in outcomes:
            self._answer(outcome)
        self.telemetry.add(DECIDE_STAGE_S, sum(now - outcome.began for outcome in outcomes) / 1e9, "durable")

    def _keep_outcomes(self) -> list[_Outcome]:
        outcomes = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        self._keeper.keep([(outcome.kept, outcome.payment) for outcome in outcomes if outcome.failure is None])
        return outcomes

    def _answer(self, outcome: _Outcome) -> None:
        payment, kept, failure, _ = outcome
        self._undurable -= 1
        pending = self._pending.get(payment)
        if failure is not None:
            self._pending.pop(payment, None)
            self._fail_one(pending, failure)
        elif pending is not None and not pending.future.done():
            pending.future.set_result(kept)

    def _fail_one(self, pending: _Pending | None, failure: BaseException) -> None:
        self._fail(failure)
        if pending is not None and not pending.future.done():
            pending.future.set_exception(FatalError(str(failure)))
            pending.future.exception()  # whoever waits gets it; nobody has to

    def _are_kept(self, payments: Sequence[Payment]) -> None:
        """Called from the keeper's thread: the index knows their answers now."""
        self._on_loop(lambda: [self._pending.pop(payment, None) for payment in payments])

    def _on_loop(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _fail(self, failure: BaseException) -> None:
        """State is ahead of what is durable: only another start is right again."""
        if self.failure is None:
            self.failure = failure
            log.error("service_ends", problem=in_words(failure))
            self._end_process()

    def _end_process(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def answers_kept(self) -> None:
        """Returns once all answers so far are in the index."""
        self._keeper.wait()

    # What others write.

    def hand_on(self, arrived: Sequence[Arrived]) -> None:
        """Folds what has come on the streams; called from the follower's thread, returns when it is done."""
        assert self._loop is not None
        self._runtime.result(asyncio.run_coroutine_threadsafe(self._fold(arrived), self._loop))

    async def _fold(self, arrived: Sequence[Arrived]) -> None:
        assert self._folding is not None
        for part in arrived:
            async with self._folding:
                began = self._runtime.monotonic()
                for arrival, data in part.records:
                    kept = self.engine.follow(arrival, data)
                    if kept is not None:
                        self._keep_followed(kept)
                    if self.ready and self._runtime.monotonic() - began > _AT_ONCE_S:
                        await asyncio.sleep(0)  # calls come in between
                        began = self._runtime.monotonic()
                stream, shard = part.place
                self.positions.setdefault(stream, {})[shard] = dict(part.position)
        lag_ms = max((part.lag_ms for part in arrived), default=0)
        self.telemetry.set(DECIDE_LAG_MS, lag_ms)
        if self.lag_ms is not None or lag_ms <= CAUGHT_UP_MS:
            if self.lag_ms is None:
                log.info("caught up", cards=self.engine.cards)
            self.lag_ms = lag_ms

    def _keep_followed(self, kept: Kept) -> None:
        """Keeps another instance's answer, which calls get from now on."""
        assert self._loop is not None
        subject = _parse_subject(kept.answer)
        payment = (subject.card_token, subject.transaction_id)
        future: asyncio.Future[Kept] = self._loop.create_future()
        future.set_result(kept)
        self._pending.setdefault(payment, _Pending(kept.content, future))
        self._keeper.keep([(kept, payment)])

    # Watching and snapshots.

    async def _watch(self) -> None:
        """Notices when the loop falls behind, and counts."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK_S)
            self.late_s = time.monotonic() - before - _TICK_S
            self._count_answers()

    async def _take_snapshots(self) -> None:
        while True:
            await asyncio.sleep(self._settings.snapshot_minutes * 60)
            await self.take_snapshot()

    async def take_snapshot(self) -> None:
        """Keeps the state as it is now. A forked process writes it, so that no answer waits."""
        assert self._folding is not None
        assert self._loop is not None
        async with self._folding:
            # What is folded must be in the journal before its end: nothing may wait for its score meanwhile.
            self._may_begin.clear()
            try:
                if self._unscored:
                    await self._none_unscored.wait()
                meta = self._meta()
                written = self._write_beside(meta)
            finally:
                self._may_begin.set()
        draft = await written
        if draft is None:
            return
        if self._journal is not None:
            await self._loop.run_in_executor(None, self._journal.wait_beyond, meta.journal - 1, 60.0)
        # A start does not read again what lies before the snapshot: the index must have the answers of all that.
        await self._loop.run_in_executor(None, self._keeper.sync)
        snapshot.publish(self._places.snapshots, draft, meta)
        if self._journal is not None and self._shipper is not None:
            self._journal.forget(min(self._snapshot_place, self._shipper.place))
        self._snapshot_place = meta.journal

    def _write_beside(self, meta: snapshot.Meta) -> Awaitable[Path | None]:
        """Writes the state as it is now; gives the draft once it is whole, None where that failed."""
        folder = self._places.snapshots
        pid = os.fork()
        if pid == 0:
            ended = 1
            os.nice(_BEHIND)
            try:
                snapshot.write(folder, meta, self.engine.dump())
                ended = 0
            finally:
                os._exit(ended)
        return self._draft_of(pid)

    async def _draft_of(self, pid: int) -> Path | None:
        _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, pid, 0)
        if status:
            log.error("snapshot_failed", status=status)
            return None
        return self._places.snapshots / f"draft-{pid}"

    def _meta(self) -> snapshot.Meta:
        place = 0 if self._journal is None else self._journal.end
        positions = {stream: dict(shards) for stream, shards in self.positions.items()}
        return snapshot.Meta(place, positions, self._places.definition, self.now_ms())

    def count(self, status: int, seconds: float) -> None:
        """Counts an answer."""
        self._answered[status].append(seconds)

    def _count_answers(self) -> None:
        answered, self._answered = self._answered, defaultdict(list)
        for status, seconds in answered.items():
            self.telemetry.add(DECIDE_ANSWERS, len(seconds), str(status))
            self.telemetry.observe(DECIDE_S, DECIDE_S.count(seconds), sum(seconds))

    def exposition(self) -> bytes:
        """The metrics, in Prometheus' text format."""
        self._count_answers()
        for stage, now in self.engine.stages.spent.items():
            self._count_time(DECIDE_STAGE_S, stage, now / 1e9)
        for thread, now_s in _processor_s().items():
            self._count_time(DECIDE_PROCESSOR_S, thread, now_s)
        if self._endpoint is not None:
            taken = self._endpoint.take()
            self.telemetry.add(ENDPOINT_RETRIES, taken.retries)
            self.telemetry.observe(ENDPOINT_S, ENDPOINT_S.count(taken.answered_s), sum(taken.answered_s))
            for reason, count in taken.fallbacks.items():
                self.telemetry.add(ENDPOINT_FALLBACKS, count, reason)
        if self._shipper is not None:
            self.telemetry.set(DECIDE_UNSHIPPED_BYTES, self._shipper.behind_bytes)
        return self.telemetry.exposition()

    def _count_time(self, metric: Metric, label: str, now_s: float) -> None:
        """Raises a counter to what a clock shows."""
        before_s = self._counted_s.get((metric, label), 0.0)
        if now_s > before_s:
            self.telemetry.add(metric, now_s - before_s, label)
            self._counted_s[metric, label] = now_s


def _processor_s() -> dict[str, float]:
    """Processor time of this process by thread, in seconds; what has no name of ours, together."""
    spent: dict[str, float] = defaultdict(float)
    for thread in threading.enumerate():
        if thread.ident is not None:
            with suppress(OSError):  # it has just ended
                clock = time.pthread_getcpuclockid(thread.ident)
                spent[_THREADS.get(thread.name, "other")] += time.clock_gettime(clock)
    return spent


_THREADS = {"MainThread": "loop"} | {
    name: name for name in ("journal", "stream", "keeper", "shipper", "follower", "scoring")
}


class _Subject(msgspec.Struct):
    card_token: str
    transaction_id: str


_parse_subject = msgspec.json.Decoder(_Subject).decode


def is_on(answer: bytes, card_token: str, transaction_id: str) -> bool:
    """Whether an answer is on a card's transaction of an id."""
    subject = _parse_subject(answer)
    return (subject.card_token, subject.transaction_id) == (card_token, transaction_id)


class _Keeper:
    """Writes answers into the index, many at once in a thread of its own, and removes old ones."""

    def __init__(
        self,
        answers: Answers,
        keep_hours: int,
        now_ms: Callable[[], int],
        then: Callable[[Sequence[Payment]], None],
        runtime: Runtime,
    ) -> None:
        self._answers = answers
        self._keep_ms = keep_hours * 3_600_000
        self._now_ms = now_ms
        self._then = then
        self._waiting: list[tuple[Kept, Payment]] = []
        self._runtime = runtime
        self._changed = runtime.condition()
        self._closing = self._writing = self._hurried = False
        self._thread: Started | None = None

    def start(self) -> None:
        self._thread = self._runtime.start(self._run, "keeper")

    def keep(self, answers: Sequence[tuple[Kept, Payment]]) -> None:
        with self._changed:
            began = not self._waiting
            self._waiting += answers
            if began and self._waiting:
                self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._writing)
            self._hurried = False

    def sync(self) -> None:
        """Returns once all so far is in the index, and durable there."""
        self.wait()
        self._answers.sync()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        expired_at = self._runtime.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing, _EXPIRE_S)
                if self._waiting:
                    self._changed.wait_for(lambda: self._closing or self._hurried, _GATHER_S)
                group, self._waiting = self._waiting, []
                self._writing = True
            try:
                if group:
                    self._answers.keep([kept for kept, _ in group])
                if self._runtime.monotonic() - expired_at >= _EXPIRE_S:
                    self._answers.expire(self._now_ms() - self._keep_ms)
                    expired_at = self._runtime.monotonic()
            except sqlite3.Error as error:  # they stay in memory, and too many of them are an overload
                log.error("answers_not_kept", problem=str(error), answers=len(group))
                with self._changed:
                    self._waiting = group + self._waiting
                    if self._closing:
                        return  # the journal, or the stream, has them
                    self._changed.wait_for(lambda: self._closing, _PAUSE_S)
                continue
            self._then([payment for _, payment in group])
            with self._changed:
                self._writing = False
                self._changed.notify_all()
            if self._closing and not self._waiting:
                return
