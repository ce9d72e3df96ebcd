"""Puts the pages together that watch the system: Live, System and, on a local stack, Lab."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from adapters.archive import Archive
from adapters.archive_follower import ArchiveFollower, Since
from adapters.dead_letters import DeadLetterStore
from adapters.ground_truth import GroundTruth
from adapters.job_metrics import JobAddress, job_url
from console.access import Role
from console.pages import Page
from console.repeated import Repeated
from console.routes.lab import lab_router
from console.routes.live import live_router
from console.routes.system import system_router
from console.services.dead_letters import LETTER_COLUMNS, DeadLetterDesk
from console.services.job_window import JobWindow
from console.services.lab import Lab, Launcher
from console.services.live import LIVE_COLUMNS, LiveBoard
from console.services.reach import Clock, Reach, Watched
from console.services.system import SystemBoard
from fraud.archive_layout import ArchiveKind
from fraud.errors import MisconfiguredError
from fraud.settings import Settings

_NEWEST_OBJECTS = 300
"""Decisions that are read at the start, to fill the charts: at two objects a batch some minutes."""

_NEWEST_LETTERS = 1_000
_ATTEMPTS = 2
"""The next look is a new attempt anyway, and pages shall soon say that the archive is out of reach."""

_HOUR = dt.timedelta(hours=1)


class Watching(NamedTuple):
    """What the application serves and does for these pages.

    Attributes:
        lab: its page, or none.
        background: what feeds them.
    """

    live: Page
    system: Page
    lab: list[Page]
    background: list[Repeated]


def watch(
    settings: Settings, clock: Clock, audit: Callable[[str, str, str], None], launcher: Launcher | None
) -> Watching:
    """Builds the pages.

    Args:
        settings: where archive and job are.
        clock: the time.
        audit: told who did what to what, after it was done.
        launcher: starts the lab's producers; None where there is no lab.

    Raises:
        MisconfiguredError: the archive cannot be used, or a lab is asked for where none may be.
    """
    if settings.console.lab and launcher is None:
        raise MisconfiguredError("console.lab", "this program cannot start producers")
    archive, store = Archive(settings, attempts=_ATTEMPTS), DeadLetterStore(settings)
    job = JobWindow()
    address, folder = job_url(settings), settings.console.ground_truth
    reaches: dict[str, Callable[[], Reach]] = {}
    board = LiveBoard(settings.money.base_currency, clock, job, reaches, truth_known=folder is not None)
    letters = DeadLetterDesk(store, audit)
    system = SystemBoard(settings, clock, job, reaches, lambda: board.versions)
    lab = Lab(settings, launcher, board, clock, audit) if settings.console.lab and launcher is not None else None

    truth = None if folder is None else GroundTruth(Path(folder))
    started = dt.datetime.fromtimestamp(clock() / 1000, dt.UTC)
    decisions = ArchiveFollower(archive, Since(_NEWEST_OBJECTS, started - _HOUR))
    refused = ArchiveFollower(archive, Since(_NEWEST_LETTERS))

    def follow_decisions() -> None:
        for producer, truths in () if truth is None else truth.read_new():
            board.told(producer, truths)
        for _, table in decisions.new(ArchiveKind.DECISIONS, LIVE_COLUMNS):
            board.decided(table)
        if lab is not None:
            lab.observe()

    def follow_letters() -> None:
        for key, table in refused.new(ArchiveKind.DEAD_LETTERS, LETTER_COLUMNS):
            letters.take(key, table)

    following = Watched("archive", follow_decisions, clock)
    reaches["archive"] = lambda: following.reach
    background = [
        Repeated("decisions", 1.0, following),
        Repeated("dead letters", 2.0, Watched("dead letters", follow_letters, clock)),
        Repeated("replayed dead letters", 15.0, Watched("replayed dead letters", letters.refresh, clock)),
    ]
    if address is not None:
        source = JobAddress(address)
        watching = Watched("job", lambda: job.take(source.read(clock())), clock)
        reaches["job"] = lambda: watching.reach
        background.append(Repeated("job", 2.0, watching))
    return Watching(
        Page("live", "Live", Role.VIEWER, live_router(board)),
        Page("system", "System", Role.VIEWER, system_router(system, letters)),
        [] if lab is None else [Page("lab", "Lab", Role.VIEWER, lab_router(lab))],
        background,
    )
