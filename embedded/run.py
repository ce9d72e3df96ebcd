"""One bounded or endless run of the whole system: warm up, stream, settle, count."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Sequence

from adapters.archive.archive import open_archive
from adapters.archive.follower import ArchiveFollower
from adapters.archive.layout import ArchiveKind
from adapters.files.asked import asked_lines
from adapters.files.ground_truth import ground_truth, truth_file
from adapters.program.program import INTERRUPTED
from embedded.child import Child
from embedded.stack import LocalStack
from embedded.tally import REFUSED_COLUMNS, TALLY_COLUMNS, RunTally
from fraud.errors import FatalError

_POLL_S = 0.25
_STALL_S = 180.0
_WARM_UP_S = 300.0
FIRST = 1_000
"""Transactions of the first batch: enough for an alert among them, few enough not to delay it."""

PRODUCER = "producer"
"""Name of the producer that streams."""

_PRODUCER_GRACE_S = 120.0

_STOPPED = (0, INTERRUPTED, -signal.SIGTERM)
"""Exit codes of a job that was asked to stop; the last two where it was not ready yet to be asked."""

Show = Callable[[RunTally, str, float], None]
"""Called after each look with the tally, the stage in words and the decisions a second lately."""


class Run:
    """Streams transactions through a local stack and follows what becomes of them.

    Args:
        stack: entered, without a job yet.
        show: draws the state.
        history: transactions at the beginning of what is produced that the job's state holds already.
        compromised: cards with a fraud among them.

    Attributes:
        tally: the counts.
        first_alert_at: when the first alert was shown, in seconds of `time.time`; None before.
    """

    def __init__(self, stack: LocalStack, show: Show, history: int = 0, compromised: Collection[str] = ()) -> None:
        settings = stack.settings
        self.tally = RunTally(settings.streams.transactions, compromised)
        self.first_alert_at: float | None = None
        self._stack = stack
        self._show = show
        archive = open_archive(settings.archive, settings.aws)
        self._follower = ArchiveFollower(archive, query=settings.job.query)
        self._truth = ground_truth(stack.folder)
        self._asked = asked_lines(stack.folder)
        self._job: Child | None = None
        self._begun = history
        self._rate = _Rate()

    def start(
        self,
        arguments: Sequence[str],
        count: int,
        meanwhile: Callable[[], None] | None = None,
    ) -> Child:
        """Starts the job and has it decide the first transactions, so that imports and compilation are behind it.

        Few of them are on the stream before the job is there, so that its first batch is small and soon done; the rest
        follows. Their latency does not count.

        Args:
            arguments: what to produce: arguments of `python -m producer.main` without number and pace.
            count: transactions to begin with; they give cards and merchants a history.
            meanwhile: work to do while Spark starts.

        Returns:
            The job's process.

        Raises:
            FatalError: the job did not start, or decided nothing.
        """
        self._show(self.tally, "starting Spark", 0.0)
        self._job = self._stack.launch_job()
        few = min(count, FIRST)
        producer = self._produce("first", [*arguments, "--num-transactions", str(few), "--skip", str(self._begun)])
        if meanwhile is not None:
            meanwhile()
        self._stack.await_job(self._job)
        self._decide_all(self._job, producer, "first decisions")
        if count > few:
            rest = ["--num-transactions", str(count - few), "--skip", str(self._begun + few)]
            self._decide_all(self._job, self._produce("history", [*arguments, *rest]), "adding history")
        self.tally.forget_pace()
        self._begun += count
        return self._job

    def _decide_all(self, job: Child, producer: Child, stage: str) -> None:
        """Looks until the producer has ended and all of it is decided."""
        while producer.exit_code is None:
            self._look(stage)
        if producer.exit_code != 0:
            raise FatalError(f"the producer failed: {producer.last_words()}")
        self._settle(stage, _WARM_UP_S)
        if not self.tally.settled:
            raise FatalError(f"the job decided nothing: {job.last_words()}")

    def stream(
        self, arguments: Sequence[str], pace: Sequence[str], duration_s: float | None, key: str | None = None
    ) -> None:
        """Streams on until the producer ends, the time is over or Ctrl-C.

        Args:
            arguments: as given to `start`.
            pace: number and pace, further arguments of `python -m producer.main`.
            duration_s: when to interrupt the producer; None lets it go on.
            key: of the decision service that it asks.
        """
        producer = self._produce(PRODUCER, [*arguments, *pace, "--skip", str(self._begun)], key)
        started = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):
            while producer.exit_code is None:
                if duration_s is not None and time.monotonic() - started > duration_s:
                    break
                self._look("streaming")
        self._interrupt(producer)
        code = producer.wait(_PRODUCER_GRACE_S)
        if code not in (0, INTERRUPTED):
            raise FatalError(f"the producer ended with exit code {code}: {producer.last_words()}")

    def settle(self) -> None:
        """Waits until everything sent has an end."""
        self._settle("finishing", _STALL_S)

    def _interrupt(self, producer: Child) -> None:
        """Ends the producer as Ctrl-C would, though not before it is ready to be: its truth file shows when."""
        truth = truth_file(self._stack.folder, producer.name)
        if producer.exit_code is None:
            producer.wait_until(lambda: truth.exists() or producer.exit_code is not None, _PRODUCER_GRACE_S)
            producer.interrupt()

    def stop(self) -> None:
        """Lets the job finish its batch and looks a last time.

        Raises:
            FatalError: the job had ended by itself, or ended with an error.
        """
        ended = self._job is not None and self._job.exit_code is not None
        if self._job is not None and not ended:
            keeps = self._stack.keeps_classes
            self._show(
                self.tally, "stopping, and keeping Spark's classes for later starts" if keeps else "stopping", 0.0
            )
            self._stack.stop_job(self._job)
        self._look("stopped", require_job=False)
        if self._job is not None and (ended or self._job.exit_code not in _STOPPED):
            raise _job_ended(self._job)

    def _produce(self, name: str, arguments: Sequence[str], key: str | None = None) -> Child:
        truth = truth_file(self._stack.folder, name)
        return self._stack.start_producer(name, [*arguments, "--ground-truth", str(truth)], key)

    def _settle(self, stage: str, stall_s: float) -> None:
        """Looks until all that was sent is decided or refused, or until nothing has moved for `stall_s`."""
        settled, moved_at = -1, time.monotonic()
        while True:
            self._look(stage)
            if not self.tally.lost:
                return
            if self.tally.settled > settled:
                settled, moved_at = self.tally.settled, time.monotonic()
            elif time.monotonic() - moved_at > stall_s:
                return

    def _look(self, stage: str, require_job: bool = True) -> None:
        if require_job and self._job is not None and self._job.exit_code is not None:
            raise _job_ended(self._job)
        began = time.monotonic()
        for producer, truths in self._truth.read_new():
            self.tally.sent(truths, producer)
        for _, answers in self._asked.read_new():
            self.tally.asked(answers)
        for _, decisions in self._follower.new(ArchiveKind.DECISIONS, TALLY_COLUMNS):
            self.tally.decided(decisions)
        for _, letters in self._follower.new(ArchiveKind.DEAD_LETTERS, REFUSED_COLUMNS):
            self.tally.refuse(letters)
        self._show(self.tally, stage, self._rate.per_s(len(self.tally.alerted_of)))
        if self.first_alert_at is None and self.tally.alerts:
            self.first_alert_at = time.time()
        time.sleep(max(0.0, _POLL_S - (time.monotonic() - began)))


def _job_ended(job: Child) -> FatalError:
    return FatalError(f"the job ended with exit code {job.exit_code}: {job.last_words()}")


class _Rate:
    """Decisions a second over the last few seconds."""

    _WINDOW_S = 5.0

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def per_s(self, count: int) -> float:
        now = time.monotonic()
        self._seen = [(at, seen) for at, seen in self._seen if now - at <= self._WINDOW_S] + [(now, count)]
        first_at, first = self._seen[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0
