"""The audit log: who changed what, who saw whose card token, who signed in."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

import structlog

Audit = Callable[[str, str, str], None]
"""Takes user, act and object, after it was done; when is the line's own time."""

VIEWS = 1_000
"""Most views that are remembered, and most objects of a view: what is forgotten is written once more."""


def log_audit(user: str, act: str, what: str) -> None:
    """One `audit` event in the log of the process."""
    structlog.get_logger().info("audit", user=user, change=act, what=what)


class Reads:
    """Writes down whose card tokens a user was shown, once a view, though pages ask for the same again and again.

    Args:
        audit: where.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._seen: OrderedDict[tuple[str, str], set[str]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, user: str, session: str, view: str | None, shown: Iterable[str]) -> None:
        """Notes the objects of an answer, all in one line; those that the view showed before are left out.

        Args:
            user: who was shown them.
            session: of the user; nobody else's views are this one's.
            view: names a page as long as it is open; None makes every answer a view of its own.
            shown: objects that stand for the cards.
        """
        new = list(dict.fromkeys(shown))
        if view is not None:
            with self._lock:
                seen = self._seen.setdefault((session, view), set())
                self._seen.move_to_end((session, view))
                new = [each for each in new if each not in seen]
                if len(seen) + len(new) > VIEWS:
                    seen.clear()
                seen.update(new)
                if len(self._seen) > VIEWS:
                    self._seen.popitem(last=False)
        if new:
            self._audit(user, "read", " ".join(new))
