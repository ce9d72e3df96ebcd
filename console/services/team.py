"""The team for its lead: who closed what, how long it took, what waits, and how often two analysts agree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

from adapters.alerts.alert import LABEL_PENDING, Item, subject_of
from adapters.alerts.pages import Span
from console.access import Role, User
from console.audit import Audit
from console.errors import ConflictError, NotFoundError
from console.services.alerts import shown
from console.services.background import Background, Job, Progress
from console.sheets import sheet
from fraud import team
from fraud.decision.key import is_key

DAYS_MS = 86_400_000
_AGE_MS = 30_000
_EARLIER_MS = 30 * DAYS_MS
"""How much older than the days that are asked for an alert may be that was closed in them."""

_CLOSED = ("confirmed_fraud", "false_positive")
_READ = (
    "alert_id",
    "card_token",
    "transaction_id",
    "event_ms",
    "decided_ms",
    "billing_amount_minor",
    "outcome",
    "rules",
    "score",
    "status",
    "assignee",
    "history",
)
_OFFERED = 200
"""Alerts among which the next second look is chosen."""

_HIDDEN = {"status", "assignee", "history", "version", LABEL_PENDING}
"""What would give the first verdict away."""

Table = Literal["analysts", "days", "queues", "rules", "bands", "pairs", "disagreements"]
TABLES: dict[Table, tuple[str, ...]] = {
    "analysts": (
        "analyst",
        "closed",
        "fraud",
        "legitimate",
        "fraud_share",
        "taken_back",
        "handling_ms",
        "handled",
        "waiting_ms",
    ),
    "days": ("day_ms", "analyst", "closed"),
    "queues": (
        "queue",
        "waiting",
        "escalated",
        "unassigned",
        "late",
        "oldest_ms",
        "waiting_minor",
        "closed",
        "in_time_share",
    ),
    "rules": ("rule", "closed", "false_positives", "false_positive_share"),
    "bands": ("band", "closed", "false_positives", "false_positive_share"),
    "pairs": ("first", "second", "pairs", "agreed_share"),
    "disagreements": ("key", "first_by", "first", "second_by", "second"),
}
"""Tables of the page with their columns, as an export has them."""


class Alerts(Protocol):
    """What is needed of `adapters.alerts.table.AlertTable`."""

    def get(self, alert_id: str) -> Item | None: ...  # noqa: D102

    def each(self, status: str, span: Span = ..., attributes: Sequence[str] = ...) -> Iterator[Item]: ...  # noqa: D102


class Looks(Protocol):
    """See `adapters.alerts.second_looks.SecondLooks`."""

    def put(self, key: str, look: dict[str, Any]) -> bool: ...  # noqa: D102

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]: ...  # noqa: D102


def looked_at_twice(key: str, share: float) -> bool:
    """Whether an alert is one of the share that two analysts decide: by its key alone, so nobody chooses.

    >>> looked_at_twice("a" * 40, 0.0), looked_at_twice("a" * 40, 1.0)
    (False, True)
    """
    place = int.from_bytes(hashlib.sha256(f"twice {key}".encode()).digest()[:8], "big")
    return place < share * 2**64


class TeamDesk:
    """Figures of the team, and second looks.

    Args:
        alerts: the table.
        looks: second verdicts.
        background: where the table is read.
        clock_ms: UTC milliseconds.
        audit: called with who looked again at what, after it was done.
        sla_ms: the longest time that an alert may wait.
        share: of the closed alerts that are decided twice.
    """

    def __init__(
        self,
        alerts: Alerts,
        looks: Looks,
        background: Background,
        clock_ms: Callable[[], int],
        audit: Audit,
        sla_ms: int,
        share: float,
    ) -> None:
        self._alerts = alerts
        self._looks = looks
        self._background = background
        self._clock_ms = clock_ms
        self._audit = audit
        self._sla_ms = sla_ms
        self._share = share

    def figures(self, user: User, days: int) -> Job:
        """Everything that the page shows, of the last days, read again after half a minute when somebody asks.

        Raises:
            ForbiddenError: the user's role is below lead.
        """
        user.require(Role.LEAD)
        return self._background.latest(f"team {days}", lambda progress: self.measure(days, progress), _AGE_MS)

    def measure(self, days: int, progress: Progress = lambda _: None) -> dict[str, Any]:
        """Reads the table; one count of `progress` an alert."""
        now_ms = self._clock_ms()
        since_ms = now_ms - days * DAYS_MS
        closed: list[team.Closing] = []
        waiting: list[Item] = []
        standing: dict[str, team.Closing] = {}
        for done, item in enumerate(self._read(since_ms), 1):
            key = subject_of(item).key
            given = team.closings(key, item)
            closed += [one for one in given if one.at_ms >= since_ms]
            if item["status"] not in _CLOSED:
                waiting.append(item)
            elif given and given[-1].at_ms >= since_ms:
                standing[key] = given[-1]
            progress(done)
        looks = dict(self._looks.all())
        pairs = [
            team.Pair(key, one.by, one.verdict, looks[key]["by"], looks[key]["verdict"])
            for key, one in standing.items()
            if key in looks
        ]
        agreed = team.agreement(pairs)
        return {
            "since_ms": since_ms,
            "as_of_ms": now_ms,
            "sla_ms": self._sla_ms,
            "share": self._share,
            "due": sum(looked_at_twice(key, self._share) and key not in looks for key in standing),
            "analysts": team.by_analyst(closed),
            "days": team.by_day(closed),
            "queues": team.service_levels(closed, waiting, now_ms, self._sla_ms),
            "rules": team.by_rule(closed),
            "bands": team.by_band(closed),
            "pairs": agreed.pop("by_pair"),
            "disagreements": agreed.pop("disagreements"),
            "agreement": agreed,
        }

    def export(self, user: User, days: int, table: Table) -> str:
        """A table of the page as CSV; see `figures`."""
        user.require(Role.LEAD)
        columns = TABLES[table]
        return sheet(columns, ([row[name] for name in columns] for row in self.measure(days)[table]))

    def next_look(self, user: User) -> dict[str, Any]:
        """An alert that this user shall decide without seeing what another decided; `alert` is None where none is due.

        Raises:
            ForbiddenError: the user's role is below analyst.
        """
        user.require(Role.ANALYST)
        due = self._due(user)
        chosen = min(due, key=lambda key: hashlib.sha256(f"{user.name} {key}".encode()).digest(), default=None)
        item = None if chosen is None else self._alerts.get(due[chosen])
        return {"due": len(due), "alert": None if item is None else _blind(item, user)}

    def look(self, user: User, key: str, verdict: Literal["fraud", "legitimate"]) -> None:
        """Keeps a second verdict. The alert and its label stay as they are.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is no such alert among those that are decided twice.
            ConflictError: the user closed it, or somebody else was faster.
        """
        user.require(Role.ANALYST)
        item = self._alerts.get(key) if is_key(key) and looked_at_twice(key, self._share) else None
        given = [] if item is None else team.closings(key, item)
        if item is None or item["status"] not in _CLOSED or not given:
            raise NotFoundError("no second look is due on this decision")
        if any(one.by == user.name for one in given):
            raise ConflictError("you decided this alert yourself")
        if not self._looks.put(key, {"by": user.name, "verdict": verdict, "at_ms": self._clock_ms()}):
            raise ConflictError("somebody else has looked again at it meanwhile")
        self._audit(user.name, "second look", key)

    def _due(self, user: User) -> dict[str, str]:
        """Keys of alerts that wait for this user's second look, with their ids."""
        if self._share == 0:
            return {}
        looks = dict(self._looks.all())
        found: dict[str, str] = {}
        span = Span(since_ms=self._clock_ms() - _EARLIER_MS)
        for status in _CLOSED:
            for item in self._alerts.each(status, span, _READ):
                key = subject_of(item).key
                if not looked_at_twice(key, self._share) or key in looks or item["alert_id"] != key:
                    continue
                if all(one.by != user.name for one in team.closings(key, item)):
                    found[key] = item["alert_id"]
                if len(found) == _OFFERED:
                    return found
        return found

    def _read(self, since_ms: int) -> Iterator[Item]:
        span = Span(since_ms=since_ms - _EARLIER_MS)
        for status in (*_CLOSED, LABEL_PENDING):
            yield from self._alerts.each(status, span, _READ)
        for status in ("open", "escalated"):
            yield from self._alerts.each(status, attributes=_READ)


def _blind(item: Item, user: User) -> Item:
    return {name: value for name, value in shown(item, user).items() if name not in _HIDDEN}
