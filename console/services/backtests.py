"""Backtests: asked for by people, run one after another in a process of their own, kept with their results."""

from __future__ import annotations

import json
import queue
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import structlog

from adapters.policy.changes import Kept
from console.access import Role, User
from console.audit import Audit
from console.errors import ConflictError, NotFoundError
from fraud.errors import FraudError

log = structlog.get_logger()

KEPT = 100
"""Runs that are kept."""

MOST_OPEN = 5
"""Runs of one user that may wait or run at the same time."""

STALE_MS = 30_000
"""A run of which nothing was heard for so long has lost its console, and another one begins it again."""

_BEAT_S = 1.0
_NAME = re.compile(r"[0-9]{13}-[0-9a-f]{8}")
_OPEN = ("waiting", "running")

Run = dict[str, Any]
"""How a run stands: its kind, title, owner, times, state, how much is done of how much, and why it failed."""


class Runs(Protocol):
    """See `adapters.policy.backtests.StoredBacktests`."""

    def add(self, name: str, run: Run, request: dict[str, Any]) -> None: ...  # noqa: D102

    def names(self) -> list[str]: ...  # noqa: D102

    def open(self) -> list[str]: ...  # noqa: D102

    def run(self, name: str) -> Kept | None: ...  # noqa: D102

    def replace(self, name: str, run: Run, tag: str) -> bool: ...  # noqa: D102

    def request(self, name: str) -> dict[str, Any] | None: ...  # noqa: D102

    def close(self, name: str) -> None: ...  # noqa: D102

    def put_result(self, name: str, result: str) -> None: ...  # noqa: D102

    def result(self, name: str) -> bytes | None: ...  # noqa: D102

    def forget(self, name: str) -> None: ...  # noqa: D102


class Work(Protocol):
    """See `adapters.program.child_work.ChildWork`."""

    def messages(self) -> Iterator[str]: ...  # noqa: D102

    def exit_code(self) -> int: ...  # noqa: D102

    def stop(self) -> None: ...  # noqa: D102


class BacktestDesk:
    """Takes runs, works them off, and gives what they found.

    Of several consoles each works off one at a time.

    Args:
        runs: keeps them.
        launch: begins the work of a request.
        read: takes a result apart.
        clock_ms: UTC milliseconds.
        audit: called with who did what.
    """

    def __init__(
        self,
        runs: Runs,
        launch: Callable[[dict[str, Any]], Work],
        read: Callable[[bytes], dict[str, Any]],
        clock_ms: Callable[[], int],
        audit: Audit,
    ) -> None:
        self._runs = runs
        self._launch = launch
        self._read = read
        self._clock_ms = clock_ms
        self._audit = audit
        self._here = secrets.token_hex(8)
        self._ended: dict[str, Run] = {}
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, user: User, kind: str, title: str, request: dict[str, Any]) -> Run:
        """Puts a run into the queue; gives how it stands.

        Raises:
            ForbiddenError: the user's role is below analyst.
            ConflictError: too many of the user's runs have not ended.
        """
        user.require(Role.ANALYST)
        mine = [run for run in self._each(self._runs.open()) if run["owner"] == user.name and run["state"] in _OPEN]
        if len(mine) >= MOST_OPEN:
            raise ConflictError(f"{MOST_OPEN} of your backtests have not ended; wait for one, or cancel it")
        now_ms = self._clock_ms()
        name = f"{now_ms:013d}-{secrets.token_hex(4)}"
        run = {"kind": kind, "title": title, "owner": user.name, "started_ms": now_ms, "state": "waiting"}
        run |= {"done": 0, "total": None, "began_ms": None, "ended_ms": None, "error": None}
        self._runs.add(name, run, request)
        for old in self._runs.names()[KEPT:]:
            self._runs.forget(old)
        self.turn()
        return self._shown(name, run)

    def cancel(self, user: User, name: str) -> None:
        """Ends a run, one's own or as a lead; its process ends within a second.

        Raises:
            NotFoundError: there is none.
            ForbiddenError: it is another's.
            ConflictError: it has ended.
        """
        kept = self._kept(name)
        if kept.data["owner"] != user.name:
            user.require(Role.LEAD)
        user.require(Role.ANALYST)
        while kept.data["state"] in _OPEN:
            ended = kept.data | {
                "state": "cancelled",
                "ended_ms": self._clock_ms(),
                "error": f"{user.name} cancelled it",
            }
            if self._runs.replace(name, ended, kept.tag):
                self._runs.close(name)
                self._audit(user.name, "cancel backtest", name)
                return
            kept = self._kept(name)
        raise ConflictError("it has ended already")

    def shown(self, user: User) -> list[Run]:
        """All runs, newest first."""
        user.require(Role.ANALYST)
        waiting = self._runs.open()
        return [self._shown(name, run, waiting) for name, run in self._named(self._runs.names())]

    def outcome(self, user: User, name: str) -> Run:
        """How a run stands, with its `result` where it has one.

        Raises:
            NotFoundError: there is none.
        """
        user.require(Role.ANALYST)
        run = self._kept(name).data
        found = self._runs.result(name) if run["state"] == "done" else None
        return self._shown(name, run, self._runs.open()) | {"result": None if found is None else self._read(found)}

    def newest(self, kind: str) -> tuple[str | None, Run | None]:
        """Of a kind the newest run that was done, by name, and the one after it that has not ended."""
        under_way = None
        for name, run in self._named(self._runs.names()):
            if run["kind"] == kind and run["state"] in _OPEN:
                under_way = self._shown(name, run)
            elif run["kind"] == kind and run["state"] == "done":
                return name, under_way
        return None, under_way

    def turn(self) -> None:
        """Sees to it that what waits is worked off, in a thread of its own."""
        with self._lock:
            if (self._worker is None or not self._worker.is_alive()) and self._runs.open():
                self._worker = threading.Thread(target=self._work_off, name="backtests", daemon=True)
                self._worker.start()

    def _work_off(self) -> None:
        try:
            while any(self._work(name) for name in self._runs.open()):
                pass
        except (FraudError, OSError) as error:  # the next turn tries again
            log.warning("background_work_failed", work="backtests", reason=str(error))

    def _work(self, name: str) -> bool:
        """Runs one, if it is nobody else's; whether it did."""
        kept = self._runs.run(name)
        request = self._runs.request(name)
        if kept is None or request is None:
            return False
        run, now_ms = kept.data, self._clock_ms()
        if run["state"] not in _OPEN:
            self._runs.close(name)
            return False
        if run["state"] == "running" and run.get("by") != self._here and now_ms - run["seen_ms"] < STALE_MS:
            return False
        begun = run | {"state": "running", "by": self._here, "began_ms": now_ms, "seen_ms": now_ms, "done": 0}
        if not self._runs.replace(name, begun, kept.tag):
            return False
        work = self._launch(request)
        try:
            self._follow(name, work)
        finally:
            work.stop()
        return True

    def _follow(self, name: str, work: Work) -> None:
        """Takes messages until the end of the work, or of the run."""
        heard: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_hear, args=(work, heard), name="backtest", daemon=True).start()
        far: dict[str, Any] = {}
        while True:
            try:
                line = heard.get(timeout=_BEAT_S)
            except queue.Empty:
                line = ""
            if line is None:
                return self._end(name, "failed", f"its process ended with exit code {work.exit_code()}")
            message = json.loads(line) if line else {}
            if "result" in message and self._beat(name, {}):
                self._runs.put_result(name, json.dumps(message["result"]))
                return self._end(name, "done", None)
            if "error" in message:
                return self._end(name, "failed", message["error"])
            far |= message
            if not self._beat(name, far):
                return None

    def _beat(self, name: str, far: dict[str, Any]) -> bool:
        """Says how far a run is; False where it is no longer ours."""
        kept = self._runs.run(name)
        if kept is None or kept.data["state"] != "running" or kept.data["by"] != self._here:
            return False
        self._runs.replace(name, kept.data | far | {"seen_ms": self._clock_ms()}, kept.tag)
        return True

    def _end(self, name: str, state: str, error: str | None) -> None:
        kept = self._runs.run(name)
        if kept is None or kept.data["state"] != "running" or kept.data["by"] != self._here:
            return
        done = kept.data["total"] or kept.data["done"] if state == "done" else kept.data["done"]
        ended = kept.data | {"state": state, "ended_ms": self._clock_ms(), "error": error, "done": done}
        if self._runs.replace(name, ended, kept.tag):
            self._runs.close(name)

    def _kept(self, name: str) -> Kept:
        kept = self._runs.run(name) if _NAME.fullmatch(name) else None
        if kept is None:
            raise NotFoundError("no such backtest")
        return kept

    def _each(self, names: list[str]) -> list[Run]:
        return [run for _, run in self._named(names)]

    def _named(self, names: list[str]) -> Iterator[tuple[str, Run]]:
        """Runs by name; one that has ended is read once."""
        for name in names:
            run = self._ended.get(name)
            if run is None and (kept := self._runs.run(name)) is not None:
                run = kept.data
                if run["state"] not in _OPEN:
                    self._ended[name] = run
            if run is not None:
                yield name, run
        while len(self._ended) > 2 * KEPT:
            del self._ended[next(iter(self._ended))]

    def _shown(self, name: str, run: Run, waiting: list[str] | None = None) -> Run:
        """For people: without who works on it, with its place in the queue and an estimate of what is left."""
        left_ms = None
        if run["state"] == "running" and run["done"] and run["total"]:
            left_ms = round((run["seen_ms"] - run["began_ms"]) * (run["total"] - run["done"]) / run["done"])
        place = waiting.index(name) if run["state"] == "waiting" and waiting and name in waiting else None
        known = {key: value for key, value in run.items() if key not in ("by", "seen_ms")}
        return known | {"job_id": name, "left_ms": left_ms, "before_it": place}


def _hear(work: Work, heard: queue.Queue[str | None]) -> None:
    for line in work.messages():
        heard.put(line)
    heard.put(None)
