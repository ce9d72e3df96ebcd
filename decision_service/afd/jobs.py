"""Batch jobs as they stand: what was asked, how far it is, what became of it. On the local disk, for the next start."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["import", "prediction"]
Status = Literal["IN_PROGRESS_INITIALIZING", "IN_PROGRESS", "CANCEL_IN_PROGRESS", "CANCELED", "COMPLETE", "FAILED"]
RUNNING: tuple[Status, ...] = ("IN_PROGRESS_INITIALIZING", "IN_PROGRESS", "CANCEL_IN_PROGRESS")

_SCHEMA = """
create table if not exists jobs (
    kind text, job_id text, asked blob not null, started_ms integer not null, status text not null, failure text,
    ended_ms integer, beat_ms integer, done integer not null, failed integer not null, total integer,
    primary key (kind, job_id)
)
"""
_COLUMNS = "kind, job_id, asked, started_ms, status, failure, ended_ms, beat_ms, done, failed, total"


class Job(NamedTuple):
    """A job.

    Attributes:
        kind: what it does with each row of its file.
        job_id: its name.
        asked: the call that made it, as JSON.
        started_ms: when that was, UTC milliseconds.
        status: as the API has it.
        failure: why it failed; None where it did not.
        ended_ms: when it ended; None while it runs.
        beat_ms: when it came forward last.
        done: rows whose results are written, from the first on.
        failed: how many of them could not be read or decided.
        total: rows of its file; None before they are counted.
    """

    kind: Kind
    job_id: str
    asked: bytes
    started_ms: int
    status: Status = "IN_PROGRESS_INITIALIZING"
    failure: str | None = None
    ended_ms: int | None = None
    beat_ms: int | None = None
    done: int = 0
    failed: int = 0
    total: int | None = None


class Jobs:
    """The jobs of a service; its calls may come from any thread, one runs at a time.

    Args:
        file: in which they are kept.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._opened = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._opened.execute("pragma journal_mode=wal")
        self._opened.execute("pragma synchronous=full")
        self._opened.execute(_SCHEMA)

    def add(self, job: Job) -> bool:
        """Adds a job; False, and nothing done, where there is one of its name."""
        with self._lock:
            marks = ", ".join("?" * len(job))
            return self._opened.execute(f"insert or ignore into jobs values ({marks})", job).rowcount == 1

    def keep(self, job: Job) -> bool:
        """Keeps how a job stands now; False, and nothing done, where somebody asked for its end meanwhile."""
        with self._lock:
            ends = " and status != 'CANCEL_IN_PROGRESS'" if job.status == "IN_PROGRESS" else ""
            changed = self._opened.execute(
                "update jobs set status = ?, failure = ?, ended_ms = ?, beat_ms = ?, done = ?, failed = ?, total = ? "
                f"where kind = ? and job_id = ?{ends}",
                (*job[4:], job.kind, job.job_id),
            )
        return changed.rowcount == 1

    def cancel(self, kind: Kind, job_id: str) -> bool:
        """Asks for the end of a job; False where it has ended."""
        with self._lock:
            changed = self._opened.execute(
                "update jobs set status = 'CANCEL_IN_PROGRESS' where kind = ? and job_id = ? and ended_ms is null",
                (kind, job_id),
            )
        return changed.rowcount == 1

    def remove(self, kind: Kind, job_id: str) -> bool:
        """Forgets a job that has ended; False where it runs."""
        with self._lock:
            self._opened.execute(
                "delete from jobs where kind = ? and job_id = ? and ended_ms is not null", (kind, job_id)
            )
            left = self._opened.execute("select 1 from jobs where kind = ? and job_id = ?", (kind, job_id)).fetchone()
        return left is None

    def find(self, kind: Kind | None = None, job_id: str | None = None) -> Sequence[Job]:
        """Jobs, the first made first: of a kind, of a name, or all."""
        with self._lock:
            rows = self._opened.execute(
                f"select {_COLUMNS} from jobs where coalesce(kind = ?, true) and coalesce(job_id = ?, true) "
                "order by started_ms, kind, job_id",
                (kind, job_id),
            ).fetchall()
        return [Job(*row) for row in rows]

    def close(self) -> None:
        """Ends."""
        with self._lock:
            self._opened.close()
