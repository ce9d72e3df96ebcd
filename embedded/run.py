"""One bounded or endless run of the whole system: warm up, stream, settle, count."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from adapters.archive import Archive
from adapters.archive_follower import ArchiveFollower
from adapters.ground_truth import GroundTruth, truth_file
from embedded.child import Child
from embedded.stack import LocalStack
from embedded.tally import TALLY_COLUMNS, Tally
from fraud.archive_layout import ArchiveKind
from fraud.errors import FatalError

_POLL_S = 0.25
_STALL_S = 60.0
_WARM_UP_S = 180.0
_PRODUCER_GRACE_S = 30.0

Show = Callable[[Tally, str, float], None]
"""Called after each look with the tally, the stage in words and the decisions a second lately."""


class Run:
    """Streams transactions through a local stack and follows what becomes of them.

    Args:
        stack: entered, without a job yet.
        show: draws the state.
        history: transactions at the beginning of what is produced that the job's state holds already.

    Attributes:
        tally: the counts.
    """

    def __init__(self, stack: LocalStack, show: Show, history: int = 0) -> None:
        self.tally = Tally()
        self._stack = stack
        self._show = show
        self._follower = ArchiveFollower(Archive(stack.settings))
        self._truth = GroundTruth(stack.folder)
        self._job: Child | None = None
        self._begun = history
        self._rate = _Rate()

    def start(self, arguments: Sequence[str], count: int) -> Child:
        """Starts the job and has it decide the first transactions, so that imports and compilation are behind it.

        Their latency does not count.

        Args:
            arguments: what to produce: arguments of `python -m producer.main` without number and pace.
            count: transactions to begin with; they give cards and merchants a history.

        Returns:
            The job's process.

        Raises:
            FatalError: the job did not start, or decided nothing.
        """
        self._show(self.tally, "starting Spark", 0.0)
        self._job = self._stack.start_job()
        producer = self._produce("warm-up", [*arguments, "--num-transactions", str(count), "--skip", str(self._begun)])
        while producer.exit_code is None:
            self._look("warming up")
        if producer.exit_code != 0:
            raise FatalError(f"the producer failed: {producer.last_words()}")
        self._settle("warming up", _WARM_UP_S)
        if not self.tally.settled:
            raise FatalError(f"the job decided nothing: {self._job.last_words()}")
        self.tally.forget_pace()
        self._begun += count
        return self._job

    def stream(self, arguments: Sequence[str], pace: Sequence[str], duration_s: float | None) -> None:
        """Streams on until the producer ends, the time is over or Ctrl-C.

        Args:
            arguments: as given to `start`.
            pace: number and pace, further arguments of `python -m producer.main`.
            duration_s: when to interrupt the producer; None lets it go on.
        """
        producer = self._produce("producer", [*arguments, *pace, "--skip", str(self._begun)])
        started = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):
            while producer.exit_code is None:
                if duration_s is not None and time.monotonic() - started > duration_s:
                    break
                self._look("streaming")
        self._interrupt(producer)
        code = producer.wait(_PRODUCER_GRACE_S)
        if code not in (0, 130):
            raise FatalError(f"the producer ended with exit code {code}: {producer.last_words()}")

    def settle(self) -> None:
        """Waits until everything sent has an end."""
        self._settle("finishing", _STALL_S)

    def _interrupt(self, producer: Child) -> None:
        """Ends the producer as Ctrl-C would, though not before it is ready to be: its truth file tells."""
        truth = truth_file(self._stack.folder, producer.name)
        if producer.exit_code is None:
            producer.wait_until(lambda: truth.exists() or producer.exit_code is not None, _PRODUCER_GRACE_S)
            producer.interrupt()

    def stop(self) -> None:
        """Lets the job finish its batch and looks a last time."""
        if self._job is not None:
            self._job.stop(grace_s=60)
        self._look("stopped", require_job=False)

    def _produce(self, name: str, arguments: Sequence[str]) -> Child:
        truth = truth_file(self._stack.folder, name)
        return self._stack.start_producer(name, [*arguments, "--ground-truth", str(truth)])

    def _settle(self, stage: str, stall_s: float) -> None:
        """Looks until all that was sent is decided or refused, or until nothing has moved for `stall_s`."""
        settled, moved_at = -1, time.monotonic()
        while True:
            self._look(stage)
            if self.tally.settled >= len(self.tally.fraud_of):
                return
            if self.tally.settled > settled:
                settled, moved_at = self.tally.settled, time.monotonic()
            elif time.monotonic() - moved_at > stall_s:
                return

    def _look(self, stage: str, require_job: bool = True) -> None:
        if require_job and self._job is not None and self._job.exit_code is not None:
            raise FatalError(f"the job ended with exit code {self._job.exit_code}: {self._job.last_words()}")
        began = time.monotonic()
        for _, truths in self._truth.read_new():
            self.tally.sent(truths)
        for _, decisions in self._follower.new(ArchiveKind.DECISIONS, TALLY_COLUMNS):
            self.tally.decided(decisions)
        for _, letters in self._follower.new(ArchiveKind.DEAD_LETTERS, ["reason"]):
            self.tally.refused(letters["reason"].to_pylist())
        self._show(self.tally, stage, self._rate.per_s(len(self.tally.alerted_of)))
        time.sleep(max(0.0, _POLL_S - (time.monotonic() - began)))


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
