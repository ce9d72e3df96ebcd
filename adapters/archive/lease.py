"""A query's lease: at a time, one program goes on from its checkpoint. A second one waits for its end, or stops.

The lease is one object of the archive, written under a condition each time. Its holder renews it; a newcomer watches it
for `TERM_S` by its own clock, so no two clocks are compared, and takes it over where it was not renewed. On the machine
of the holder it looks for the process instead and need not wait.

A holder that is cut off from the archive cannot renew and cannot know that it was replaced. What it then decides stays
unseen: objects are written once under the batch's number, and the checkpoint takes one of two commits (docs/sinks.md).
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from adapters.archive.archive import Archive
from adapters.archive.layout import lease_key
from adapters.objects.store import StoredObject
from fraud.errors import FatalError, MisconfiguredError, ServiceError

log = structlog.get_logger()

BEAT_S = 10.0
"""Seconds between two renewals."""

TERM_S = 3 * BEAT_S
"""Seconds without a renewal after which a lease may be taken over."""

_PROC = Path("/proc")


class Holder(msgspec.Struct, frozen=True):
    """A process, as others on its machine can look for it.

    Attributes:
        run: drawn at its start.
        program: what it is, for messages.
        host: name of its machine or pod.
        space: in which process ids are counted.
        pid: its id.
        started: when, in ticks of its machine's clock: an id may belong to another process later.
    """

    run: str
    program: str
    host: str
    space: str
    pid: int
    started: int

    @classmethod
    def this(cls, run: str, program: str) -> Holder:
        """This process."""
        return cls(run, program, socket.gethostname(), _space(), os.getpid(), _started(os.getpid()) or 0)

    def lives(self) -> bool | None:
        """Whether it runs, where that can be seen from here; None for a process of another machine."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return None
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.program} on {self.host} (process {self.pid}, run {self.run})"


class _Held(msgspec.Struct):
    holder: Holder
    beat: int
    ended: bool = False


class Lease:
    """The lease of one query, taken and kept while a context lasts.

    Args:
        archive: of the query.
        query: its name.
        holder: that takes it.
        wait_s: how long to wait for a holder that goes on.
        pause: waits for a time; True asks to give up waiting.
        beat_s: seconds between two renewals.
        term_s: seconds without one after which another's lease is taken over.
        clock: monotonic seconds.

    Attributes:
        lost: whether another process has taken it over.
    """

    def __init__(
        self,
        archive: Archive,
        query: str,
        holder: Holder,
        wait_s: float,
        pause: Callable[[float], bool],
        beat_s: float = BEAT_S,
        term_s: float = TERM_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._query = query
        self._key = lease_key(query)
        self._holder = holder
        self._wait_s = wait_s
        self._pause = pause
        self._beat_s = beat_s
        self._term_s = term_s
        self._clock = clock
        self._beat = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.lost = False

    def __enter__(self) -> Lease:
        """Takes it.

        Raises:
            MisconfiguredError: its holder goes on; nothing was done.
            InterruptedError: waiting was given up because `pause` asked for it.
        """
        self._take()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()
        if not self.lost:
            try:
                self._write(ended=True)
            except ServiceError as problem:
                log.warning("lease_not_ended", query=self._query, problem=str(problem))

    def require(self) -> None:
        """Stops where another process has taken it over.

        Raises:
            FatalError: naming it.
        """
        if self.lost:
            raise FatalError(f"{self._other()} has taken over query {self._query}; this process writes nothing more")

    def _take(self) -> None:
        began = since = self._clock()
        seen, beats, waiting = "", -1, False
        while True:
            found = self._archive.find(self._key)
            if found is None:
                if self._archive.put_new(self._key, self._content(ended=False)):
                    return
                continue
            held, now, lives = _decoded(found), self._clock(), None
            if held.holder == self._holder:
                return  # an attempt of ours, whose answer was lost
            if found.tag != seen:
                seen, since, beats = found.tag, now, beats + 1
            if not held.ended:
                lives = held.holder.lives()
            if held.ended or lives is False or now - since >= self._term_s:
                if self._archive.replace_found(self._key, self._content(ended=False), found.tag):
                    return
                continue
            # One that is on another machine and was not seen to renew may be gone: the term decides.
            if now - began >= self._wait_s and (lives or beats):
                raise self._refusal(held)
            if not waiting:
                log.info("waits_for_driver", query=self._query, holder=str(held.holder), wait_s=self._wait_s)
                waiting = True
            if self._pause(min(1.0, self._term_s / 10)):
                raise InterruptedError

    def _refusal(self, held: _Held) -> MisconfiguredError:
        return MisconfiguredError(
            "job.query",
            f"{held.holder} goes on from the checkpoint of {self._query}; stop it, or give this one another query, "
            "checkpoint and place in the archive (docs/operations.md#one-driver-at-a-time); nothing was read or "
            "written",
        )

    def _keep(self) -> None:
        while not self._ending.wait(self._beat_s):
            try:
                if not self._write(ended=False):
                    self.lost = True
                    return
            except ServiceError as problem:
                log.warning("lease_not_renewed", query=self._query, problem=str(problem))

    def _write(self, *, ended: bool) -> bool:
        """Renews or ends it; False where it is another's now."""
        self._beat += 1
        while True:
            found = self._archive.find(self._key)
            if found is None or _decoded(found).holder != self._holder:
                return False
            # Refused, it may still be ours: of an earlier attempt only the answer was lost.
            if self._archive.replace_found(self._key, self._content(ended=ended), found.tag):
                return True

    def _content(self, *, ended: bool) -> bytes:
        return msgspec.json.encode(_Held(self._holder, self._beat, ended))

    def _other(self) -> str:
        found = self._archive.find(self._key)
        return "another process" if found is None else str(_decoded(found).holder)


def lease_of(archive: Archive, query: str, program: str) -> Lease:
    """The lease for a command that works on a stopped query: where a driver holds it, the command stops."""
    return Lease(archive, query, Holder.this(secrets.token_hex(8), program), 0.0, threading.Event().wait)


def _decoded(found: StoredObject) -> _Held:
    return msgspec.json.decode(found.data, type=_Held)


def _space() -> str:
    """The machine's boot and the name space in which process ids are counted; empty where the system does not say."""
    if not _PROC.exists():
        return ""
    boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    return f"{boot} {(_PROC / 'self' / 'ns' / 'pid').readlink()}"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> int | None:
    """When a process was started, in ticks since boot; 0 where the system does not say; None where there is none."""
    if not _PROC.exists():
        return 0 if _answers(pid) else None
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
