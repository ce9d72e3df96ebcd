"""Work that takes longer than an answer may: one piece at a time, with progress, in a thread."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from console.access import Role, User
from console.errors import ConflictError, NotFoundError
from fraud.errors import FraudError

KEPT = 20
"""Finished pieces whose results are kept."""

Progress = Callable[[int], None]
Work = Callable[[Progress], dict[str, Any]]
"""Does the work and returns its result; reports meanwhile how far it is, in units of its own."""


@dataclass
class Job:
    """A piece of work.

    Attributes:
        job_id: names it.
        kind: of work.
        owner: user who started it.
        started_ms: when it was asked for.
        state: how far it is in its life.
        done: units done.
        ended_ms: when it was done or failed.
        error: why it failed.
        result: what it gave.
    """

    job_id: str
    kind: str
    owner: str
    started_ms: int
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    done: int = 0
    ended_ms: int | None = None
    error: str | None = None
    result: dict[str, Any] | None = field(default=None, repr=False)

    def progress(self) -> dict[str, Any]:
        """Everything but the result."""
        return {name: value for name, value in vars(self).items() if name != "result"}

    def shown_to(self, user: User) -> dict[str, Any]:
        """Everything; for a viewer without the words of an error, which may hold a record's values."""
        if self.error is not None and user.role < Role.ANALYST:
            return vars(self) | {"error": "it failed; an analyst sees why"}
        return dict(vars(self))


class Background:
    """Runs work in turn, so that it never takes more than one core's worth from those who wait for answers.

    Args:
        clock_ms: milliseconds since the epoch.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, kind: str, owner: str, work: Work) -> Job:
        """Begins work.

        Raises:
            ConflictError: the user has work of this kind under way.
        """
        with self._lock:
            if any(job.kind == kind and job.owner == owner and job.ended_ms is None for job in self._jobs.values()):
                raise ConflictError(f"your last {kind} is still under way; wait until it has ended")
            job = Job(secrets.token_urlsafe(9), kind, owner, self._clock_ms())
            self._jobs[job.job_id] = job
            ended = [job_id for job_id, each in self._jobs.items() if each.ended_ms is not None]
            for job_id in ended[: max(0, len(ended) - KEPT)]:
                del self._jobs[job_id]
        self._pool.submit(self._run, job, work)
        return job

    def latest(self, kind: str, work: Work, max_age_ms: int) -> Job:
        """The newest result of work that belongs to nobody; begins it again where that is too old.

        Gives the result at hand while a new one is under way, and the work itself only where there is none.
        """
        shared = [job for job in list(self._jobs.values()) if job.kind == kind and not job.owner]
        known = next((job for job in reversed(shared) if job.ended_ms is not None), None)
        if known is None or known.ended_ms is None or self._clock_ms() - known.ended_ms > max_age_ms:
            running = next((job for job in shared if job.ended_ms is None), None) or self.start(kind, "", work)
            return known or running
        return known

    def get(self, kind: str, job_id: str) -> Job:
        """A piece of work.

        Raises:
            NotFoundError: there is none of this kind, or it was dropped.
        """
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind:
            raise NotFoundError(f"no such {kind}")
        return job

    def _run(self, job: Job, work: Work) -> None:
        def progress(done: int) -> None:
            job.done = done

        job.state = "running"
        try:
            job.result = work(progress)
            job.state = "done"
        except FraudError as error:
            job.error, job.state = str(error), "failed"
        except Exception:
            structlog.get_logger().exception("background_work_failed", kind=job.kind)
            job.error, job.state = "it failed; the console's log says why", "failed"
        job.ended_ms = self._clock_ms()
