"""Refused records: listed newest first, shown, and put on their stream again."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from console.access import Role, User
from console.errors import NotFoundError
from fraud.records.card_number import redact
from operations.dead_letters import DeadLetter, DeadLetterStore, dead_letter_id

DEAD_LETTER_COLUMNS = [
    "stream",
    "shard",
    "sequence_number",
    "sub_sequence",
    "arrival_ms",
    "reason",
    "field",
    "detail",
    "replayable",
]
"""Of an archived dead letter: all but its bytes."""

MAX_KEPT = 20_000
MAX_REPLAYED = 500
"""At once: what the caller waits for."""

Standing = Literal["waiting", "replayed", "redacted"]


class _Entry(NamedTuple):
    number: int
    key: str
    row: dict[str, Any]

    @property
    def replayable(self) -> bool:
        return bool(self.row["replayable"])


class DeadLetterDesk:
    """Keeps an index of the newest dead letters in memory; bytes stay in the archive until they are asked for.

    Args:
        store: the archived ones.
        audit: called with who did what to what, after it was done.
    """

    def __init__(self, store: DeadLetterStore, audit: Callable[[str, str, str], None]) -> None:
        self._store = store
        self._audit = audit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._replayed: set[str] = set()
        self._number = 0
        self._lock = threading.Lock()
        self._replaying = threading.Lock()

    def take(self, key: str, table: pa.Table) -> None:
        """Adds the dead letters of an archived object: `DEAD_LETTER_COLUMNS`."""
        with self._lock:
            for row in table.to_pylist():
                self._number += 1
                self._entries[dead_letter_id(row)] = _Entry(self._number, key, row)
            while len(self._entries) > MAX_KEPT:
                self._entries.popitem(last=False)

    def refresh(self) -> None:
        """Asks the archive which were replayed, also by others."""
        replayed = self._store.replayed()
        with self._lock:
            self._replayed = replayed

    def counts(self) -> dict[str, dict[Standing, int]]:
        """Dead letters by reason and standing."""
        with self._lock:
            found = Counter((entry.row["reason"], self._standing(known)) for known, entry in self._entries.items())
        reasons: dict[str, dict[Standing, int]] = {}
        for (reason, standing), count in sorted(found.items()):
            reasons.setdefault(reason, {"waiting": 0, "replayed": 0, "redacted": 0})[standing] = count
        return reasons

    def page(self, user: User, reason: str | None, before: int | None, limit: int) -> dict[str, Any]:
        """Dead letters newest first.

        Args:
            user: who asks; a viewer does not see the detail, which may hold the record's values.
            reason: only those with it.
            before: the `next` of the page before; None begins with the newest.
            limit: maximum number of them.
        """
        dead_letters: list[dict[str, Any]] = []
        last = None
        with self._lock:
            for known, entry in reversed(self._entries.items()):
                if (before is not None and entry.number >= before) or reason not in (None, entry.row["reason"]):
                    continue
                if len(dead_letters) == limit:
                    return {"dead_letters": dead_letters, "next": last}
                last = entry.number
                kept = ("stream", "shard", "arrival_ms", "reason", "field", "detail")
                shown = {name: entry.row[name] for name in kept}
                if user.role < Role.ANALYST:
                    shown["detail"] = None
                dead_letters.append({"id": known, **shown, "standing": self._standing(known)})
        return {"dead_letters": dead_letters, "next": None}

    def show(self, user: User, known: str) -> dict[str, Any]:
        """One dead letter with its bytes as text; they hold card tokens.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is none.
        """
        user.require(Role.ANALYST)
        entry = self._entry(known)
        (dead_letter,) = self._read(entry.key, {known})
        data = redact(dead_letter.data)  # an earlier version may have stored a card number that it did not find
        user.saw(known)
        return {"id": known, "data": data.decode(errors="backslashreplace"), "bytes": len(data)}

    def replay(self, user: User, known: Iterable[str] | None, reason: str | None) -> dict[str, int]:
        """Puts dead letters on their streams again: those named, or the oldest waiting ones of a reason, at most 500.

        Returns:
            How many were put, how many were left alone, and how many of the reason still wait.

        Raises:
            ForbiddenError: the user's role is below lead.
            NotFoundError: one of them is not there.
        """
        user.require(Role.LEAD)
        with self._replaying:
            chosen = [self._entry(one) for one in known] if known is not None else self._waiting(reason)[:MAX_REPLAYED]
            identifiers = {dead_letter_id(entry.row) for entry in chosen}
            dead_letters: list[DeadLetter] = []
            for key in dict.fromkeys(entry.key for entry in chosen):
                dead_letters += self._read(key, identifiers)
            done = max(self._store.replay(dead_letters), default=0)
            with self._lock:
                self._replayed |= {dead_letter.id for dead_letter in dead_letters if dead_letter.replayable}
        for identifier in sorted(identifiers):
            self._audit(user.name, "replay", identifier)
        waiting = len(self._waiting(reason)) if known is None else 0
        return {"replayed": done, "left_alone": len(dead_letters) - done, "waiting": waiting}

    def _entry(self, known: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(known)
        if entry is None:
            raise NotFoundError("no such dead letter, or it is older than those kept here")
        return entry

    def _read(self, key: str, which: set[str]) -> list[DeadLetter]:
        try:
            return self._store.of_object(key, which)
        except FileNotFoundError:
            raise NotFoundError("the archive no longer holds this dead letter") from None

    def _waiting(self, reason: str | None) -> list[_Entry]:
        with self._lock:
            return [
                entry
                for known, entry in self._entries.items()
                if self._standing(known) == "waiting" and reason in (None, entry.row["reason"])
            ]

    def _standing(self, known: str) -> Standing:
        if known in self._replayed:
            return "replayed"
        return "waiting" if self._entries[known].replayable else "redacted"
