"""The audit log: who changed what, who saw whose card token, who signed in."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from adapters.audit.chain import AuditChain
from fraud.audit import Entry
from fraud.errors import FraudError

Audit = Callable[[str, str, str], None]
"""Takes user, act and object, after it was done; when is the line's own time."""

VIEWS = 1_000
"""Most views that are remembered, and most objects of a view: what is forgotten is written once more."""


WAITING = 100_000
"""Most lines that wait for a store out of reach; the log of the process has them all."""

_TOGETHER = 500


def log_audit(user: str, act: str, what: str) -> None:
    """One `audit` event in the log of the process."""
    structlog.get_logger().info("audit", user=user, change=act, what=what)


class AuditLog:
    """Writes each line to the log of the process and to the chain.

    What the chain cannot take, because its store is out of reach, waits in memory and is tried again by `flush`: the
    act itself is done by then and is not refused for it.

    Args:
        chain: where.
        clock_ms: UTC milliseconds.
    """

    def __init__(self, chain: AuditChain, clock_ms: Callable[[], int]) -> None:
        self._chain = chain
        self._clock_ms = clock_ms
        self._waiting: deque[Entry] = deque(maxlen=WAITING)
        self._lock = threading.Lock()

    def __call__(self, user: str, act: str, what: str) -> None:
        """Writes one line; it stands in the chain when this returns, unless the store is out of reach."""
        log_audit(user, act, what)
        self._waiting.append(Entry(self._clock_ms(), user, act, what))
        try:
            self.flush()
        except (FraudError, OSError) as error:
            structlog.get_logger().warning("audit_waits", lines=len(self._waiting), reason=str(error))

    def flush(self) -> None:
        """Writes what waits; those that come at the same time are written together.

        Raises:
            FraudError: the store is out of reach.
        """
        with self._lock:
            while self._waiting:
                entries = list(islice(self._waiting, _TOGETHER))
                written = self._chain.append(entries)
                for _ in entries:
                    self._waiting.popleft()
                head = written[-1]
                structlog.get_logger().info("audit_head", head=f"{head.number}:{head.hash}")


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
