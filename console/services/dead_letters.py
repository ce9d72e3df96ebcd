"""Refused records: listed newest first, shown, and put on their stream again."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from adapters.dead_letters import DeadLetter, DeadLetterStore, letter_id
from console.access import Role, User
from console.errors import NotFoundError

LETTER_COLUMNS = [
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

MOST_KEPT = 20_000
MOST_REPLAYED = 500
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
        audit: told who did what to what, after it was done.
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
        """Adds the letters of an archived object: `LETTER_COLUMNS`."""
        with self._lock:
            for row in table.to_pylist():
                self._number += 1
                self._entries[letter_id(row)] = _Entry(self._number, key, row)
            while len(self._entries) > MOST_KEPT:
                self._entries.popitem(last=False)

    def refresh(self) -> None:
        """Asks the archive which were replayed, also by others."""
        replayed = self._store.replayed()
        with self._lock:
            self._replayed = replayed

    def counts(self) -> dict[str, dict[Standing, int]]:
        """Letters by reason and standing."""
        with self._lock:
            found = Counter((entry.row["reason"], self._standing(known)) for known, entry in self._entries.items())
        reasons: dict[str, dict[Standing, int]] = {}
        for (reason, standing), count in sorted(found.items()):
            reasons.setdefault(reason, {"waiting": 0, "replayed": 0, "redacted": 0})[standing] = count
        return reasons

    def page(self, reason: str | None, before: int | None, limit: int) -> dict[str, Any]:
        """Letters newest first.

        Args:
            reason: only those with it.
            before: the `next` of the page before; None begins with the newest.
            limit: most letters.
        """
        letters: list[dict[str, Any]] = []
        last = None
        with self._lock:
            for known, entry in reversed(self._entries.items()):
                if (before is not None and entry.number >= before) or reason not in (None, entry.row["reason"]):
                    continue
                if len(letters) == limit:
                    return {"letters": letters, "next": last}
                last = entry.number
                kept = ("stream", "shard", "arrival_ms", "reason", "field", "detail")
                told = {name: entry.row[name] for name in kept}
                letters.append({"id": known, **told, "standing": self._standing(known)})
        return {"letters": letters, "next": None}

    def show(self, user: User, known: str) -> dict[str, Any]:
        """One letter with its bytes as text; they hold card tokens.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NotFoundError: there is none.
        """
        user.require(Role.ANALYST)
        entry = self._entry(known)
        (letter,) = self._read(entry.key, {known})
        return {"id": known, "data": letter.data.decode(errors="backslashreplace"), "bytes": len(letter.data)}

    def replay(self, user: User, known: Iterable[str] | None, reason: str | None) -> dict[str, int]:
        """Puts letters on their streams again: those named, or the oldest waiting ones of a reason, at most 500.

        Returns:
            How many were put, how many were left alone, and how many of the reason still wait.

        Raises:
            ForbiddenError: the user's role is below lead.
            NotFoundError: one of them is not there.
        """
        user.require(Role.LEAD)
        with self._replaying:
            chosen = [self._entry(one) for one in known] if known is not None else self._waiting(reason)[:MOST_REPLAYED]
            identifiers = {letter_id(entry.row) for entry in chosen}
            letters: list[DeadLetter] = []
            for key in dict.fromkeys(entry.key for entry in chosen):
                letters += self._read(key, identifiers)
            done = max(self._store.replay(letters), default=0)
            with self._lock:
                self._replayed |= {letter.id for letter in letters if letter.replayable}
        for identifier in sorted(identifiers):
            self._audit(user.name, "replay", identifier)
        waiting = len(self._waiting(reason)) if known is None else 0
        return {"replayed": done, "left_alone": len(letters) - done, "waiting": waiting}

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
            raise NotFoundError("the archive does not hold this dead letter any more") from None

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
