"""The lab: starts fraud campaigns against the running stack and follows what they cost until they are found."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from adapters.program.ports import LOOPBACK
from console.access import Role, User
from console.errors import ConflictError, NotFoundError
from console.services.live import LiveBoard
from console.services.reach import Clock
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Console

MAX_CASES = 50
_MAX_RUNNING = 3
_MAX_KEPT = 20
_MAX_POINTS = 400
_LEAD_S = 4.0
"""What a producer needs to start; event time goes on meanwhile."""

Pace = Literal["stream", "minute", "hour"]
_EVENT_S_PER_S: dict[Pace, float] = {"minute": 60.0, "hour": 3_600.0}

State = Literal["running", "sent", "stopped", "failed"]


class Running(Protocol):
    """A producer at work."""

    @property
    def exit_code(self) -> int | None: ...  # noqa: D102

    def interrupt(self) -> None: ...  # noqa: D102

    def last_words(self) -> str: ...  # noqa: D102


class Launcher(Protocol):
    """Starts producers."""

    @property
    def campaigns(self) -> Mapping[str, str]:
        """What there is to start, and what happens in it."""

    def start(self, name: str, arguments: Sequence[str]) -> Running:
        """Starts a producer that leaves its ground truth under this name, with arguments of `producer.main`."""


@dataclass
class _Run:
    name: str
    campaign: str
    cases: int
    by: str
    started_ms: int
    producer: Running
    stopped: bool = False
    course: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    @property
    def state(self) -> State:
        code = self.producer.exit_code
        if code is None:
            return "running"
        return "sent" if code == 0 else "stopped" if self.stopped else "failed"


def require_local(aws: Aws) -> None:
    """Stops where fraud would go to anything but this machine.

    Raises:
        MisconfiguredError: naming the setting.
    """
    for name, url in (
        ("aws.endpoint_url", aws.endpoint_url),
        ("kinesis", aws.endpoint_of("kinesis")),
    ):
        if url is None or urlsplit(url).hostname not in LOOPBACK:
            problem = f"sends fraud to this machine only, but {name} is {url or 'AWS'}; leave the lab off"
            raise MisconfiguredError("console.lab", problem)


class Lab:
    """Campaigns that were started here, the newest 20.

    Args:
        aws: where the stack is.
        console: which population its producer generates.
        currency: of its figures.
        launcher: starts producers.
        board: knows how event time runs, and what was decided.
        clock: the time.
        audit: called with who did what to what, after it was done.

    Raises:
        MisconfiguredError: the stack is not on this machine, or nobody would know what was sent.
    """

    def __init__(
        self,
        aws: Aws,
        console: Console,
        currency: str,
        launcher: Launcher,
        board: LiveBoard,
        clock: Clock,
        audit: Callable[[str, str, str], None],
    ) -> None:
        require_local(aws)
        if console.ground_truth is None:
            raise MisconfiguredError("console.lab", "needs console.ground_truth, to know what it sent")
        self._aws = aws
        self._console = console
        self._currency = currency
        self._launcher = launcher
        self._board = board
        self._clock = clock
        self._audit = audit
        self._runs: list[_Run] = []
        self._count = 0
        self._begun_s = 0
        self._lock = threading.Lock()

    def start(self, user: User, campaign: str, cases: int, pace: Pace) -> str:
        """Starts a campaign where event time stands now; gives its name.

        Raises:
            ForbiddenError: the user's role is below lead.
            NotFoundError: there is no such campaign.
            ConflictError: too many run already.
        """
        user.require(Role.LEAD)
        require_local(self._aws)
        if campaign not in self._launcher.campaigns:
            raise NotFoundError("there is no such campaign")
        event_ms, stream_speed = self._board.event_time()
        speed = _EVENT_S_PER_S.get(pace, stream_speed)
        arguments = {
            "--attack": campaign,
            "--cases": cases,
            "--speed": f"{speed:.3f}",
            "--seed": self._console.lab_seed,
            "--cards": self._console.lab_cards,
            "--merchants": self._console.lab_merchants,
        }
        with self._lock:
            if sum(run.state == "running" for run in self._runs) >= _MAX_RUNNING:
                raise ConflictError(f"{_MAX_RUNNING} campaigns are running already; wait for one to end, or stop it")
            # Ids follow from the second of the start: no two runs may share one.
            self._begun_s = max(self._begun_s + 1, round(event_ms / 1000 + stream_speed * _LEAD_S))
            arguments["--start-time"] = dt.datetime.fromtimestamp(self._begun_s, dt.UTC).isoformat()
            self._count += 1
            name = f"lab-{self._clock() // 1000:x}-{self._count}"
            producer = self._launcher.start(name, [str(part) for pair in arguments.items() for part in pair])
            self._runs.append(_Run(name, campaign, cases, user.name, self._clock(), producer))
            ended = [run for run in self._runs if run.state != "running"]
            for run in ended[: max(0, len(self._runs) - _MAX_KEPT)]:
                self._runs.remove(run)
        self._audit(user.name, f"start {campaign}", name)
        return name

    def stop(self, user: User, name: str) -> None:
        """Ends a campaign; what was sent stays sent.

        Raises:
            ForbiddenError: the user's role is below lead.
            NotFoundError: there is no such run.
        """
        user.require(Role.LEAD)
        with self._lock:
            run = next((run for run in self._runs if run.name == name), None)
            if run is None:
                raise NotFoundError("there is no such run")
            run.stopped = True
            run.producer.interrupt()
        self._audit(user.name, "stop", name)

    def observe(self) -> None:
        """Notes how far each campaign has come, where that changed."""
        with self._lock:
            for run in self._runs:
                score = self._board.score_of(run.name)
                point = (score.frauds, score.alerted, score.lost_minor, score.saved_minor)
                if point != (run.course[-1][1:] if run.course else (0, 0, 0, 0)):
                    run.course.append((self._clock(), *point))
                    del run.course[:-_MAX_POINTS]

    def snapshot(self) -> dict[str, Any]:
        """All that the page shows; runs newest first."""
        with self._lock:
            runs = [self._view(run) for run in reversed(self._runs)]
        names = ("at_ms", "frauds", "alerted", "lost_minor", "saved_minor")
        return {
            "campaigns": [{"name": name, "meaning": text} for name, text in self._launcher.campaigns.items()],
            "currency": self._currency,
            "max_cases": MAX_CASES,
            "course_fields": names,
            "runs": runs,
        }

    def _view(self, run: _Run) -> dict[str, Any]:
        state = run.state
        return {
            "name": run.name,
            "campaign": run.campaign,
            "cases": run.cases,
            "by": run.by,
            "started_ms": run.started_ms,
            "state": state,
            "failure": run.producer.last_words() if state == "failed" else None,
            "sent": self._board.sent_by(run.name),
            "course": run.course,
            **self._board.score_of(run.name).figures(),
        }
