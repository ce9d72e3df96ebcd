"""The audit log for those who look at it: search, export, and whether its chain is whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapters.audit.chain import AuditChain
from console.access import Role, User
from console.services.background import Background, Job, Progress
from console.sheets import sheet
from fraud.audit import AuditLine
from fraud.records.schema import time_of

LOOKED_AT = 20_000
"""Most lines that one search looks at before it answers with what it has."""

EXPORTED = 100_000
"""Most lines of an export."""

_CHECK = "audit check"
_CHECK_AGE_MS = 60_000
_COLUMNS = ("number", "at", "by", "act", "what", "hash")


@dataclass(frozen=True)
class Search:
    """Which lines; None asks for nothing.

    Attributes:
        by: a user's name, exactly.
        act: what was done, exactly.
        text: a part of what it was done to, whatever the case of its letters.
        since_ms: not before.
        until_ms: before.
    """

    by: str | None = None
    act: str | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def finds(self, line: AuditLine) -> bool:
        """Whether a line is one of them."""
        entry = line.entry
        return (
            (self.by is None or entry.by == self.by)
            and (self.act is None or entry.act == self.act)
            and (self.text is None or self.text.casefold() in entry.what.casefold())
            and (self.since_ms is None or entry.at_ms >= self.since_ms)
            and (self.until_ms is None or entry.at_ms < self.until_ms)
        )


class AuditDesk:
    """Reads the audit log.

    Args:
        chain: the log.
        background: where the whole of it is looked at.
    """

    def __init__(self, chain: AuditChain, background: Background) -> None:
        self._chain = chain
        self._background = background

    def page(self, user: User, search: Search, limit: int, before: int | None) -> dict[str, Any]:
        """Lines, newest first; `next` goes on, also where nothing was found among those looked at.

        Raises:
            ForbiddenError: the user's role is below lead.
        """
        user.require(Role.LEAD)
        lines: list[dict[str, Any]] = []
        last = None
        for looked, line in enumerate(self._chain.newest(before), 1):
            if search.finds(line):
                lines.append(_described(line))
            if len(lines) == limit or looked == LOOKED_AT:
                last = line.number
                break
        return {"lines": lines, "next": last if last is not None and last > 1 else None}

    def export(self, user: User, search: Search) -> str:
        """The newest lines that a search finds as CSV; see `page`."""
        user.require(Role.LEAD)
        return sheet(_COLUMNS, ([_described(line)[name] for name in _COLUMNS] for line in self._found(search)))

    def _found(self, search: Search) -> Iterator[AuditLine]:
        found = 0
        for line in self._chain.newest():
            if search.finds(line):
                yield line
                found += 1
            if found == EXPORTED:
                return

    def check(self, user: User) -> Job:
        """Whether the chain is whole, looked at again after a minute when somebody asks; see `page`."""
        user.require(Role.LEAD)

        def look(_: Progress) -> dict[str, Any]:
            head, fault = self._chain.check()
            return {"lines": head.number, "head": str(head), "fault": None if fault is None else str(fault)}

        return self._background.latest(_CHECK, look, _CHECK_AGE_MS)


def _described(line: AuditLine) -> dict[str, Any]:
    entry = line.entry
    at = time_of(entry.at_ms).isoformat(timespec="milliseconds")
    return {"number": line.number, "at": at, "at_ms": entry.at_ms, **entry._asdict(), "hash": line.hash}
