"""Living lists for the people who sign in: what each role may, and what is written down of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from console.access import Role, User
from console.audit import Audit
from fraud.decision.policy.document import EntityName, ListKind
from fraud.decision.policy.living import Given, expiry_ms
from operations.lists import Author, Changed, ListDesk, described, read_csv, write_csv


class ListPart:
    """Reads and changes lists for a user.

    Args:
        desk: of the lists.
        audit: called with who did what to which list, after it was done.
    """

    def __init__(self, desk: ListDesk, audit: Audit) -> None:
        self._desk = desk
        self._audit = audit

    def all(self) -> dict[str, Any]:
        """Every list in short, and the version of them all."""
        return {"version": self._desk.version, "lists": self._desk.all()}

    def entries(self, user: User, name: str, after: str, search: str, limit: int) -> dict[str, Any]:
        """A page of a list's entries.

        Raises:
            ForbiddenError: the user's role is below analyst.
            NoSuchListError: there is no such list.
        """
        self._show(user, name)
        found = self._desk.get(name)
        entries = self._desk.entries(name, after, limit + 1, search)
        return {
            "name": name,
            "kind": found.kind.value,
            "of": found.of,
            "size": len(found.entries),
            "entries": entries[:limit],
            "next": entries[limit - 1]["value"] if len(entries) > limit else None,
        }

    def history(self, user: User, name: str, limit: int) -> dict[str, Any]:
        """What was done to a list, newest first; see `entries`."""
        self._show(user, name)
        return {"name": name, "changes": [described(change) for change in self._desk.changes(name, limit)]}

    def export(self, user: User, name: str) -> str:
        """A list as CSV; see `entries`."""
        self._show(user, name)
        return write_csv(self._desk.get(name).entries)

    def create(self, user: User, name: str, kind: ListKind, of: EntityName, why: str) -> dict[str, Any]:
        """Makes a list.

        Raises:
            ForbiddenError: the user's role is below lead.
            ListError: there is one of this name.
        """
        author = self._author(user, why)
        return self._done(user, "list created", name, self._desk.create(name, kind, of, author))

    def add(self, user: User, name: str, entries: Sequence[tuple[str, str | None, str]], why: str) -> dict[str, Any]:
        """Puts entries (value, expiry, note) on a list.

        Raises:
            ForbiddenError: the user's role is below lead.
            ListError: one is refused; nothing is changed.
        """
        author = self._author(user, why)
        self._desk.get(name)
        given = [Given(value, None if until is None else expiry_ms(until), note) for value, until, note in entries]
        return self._done(user, "list entries added", name, self._desk.add(name, given, author))

    def remove(self, user: User, name: str, values: Sequence[str], why: str) -> dict[str, Any]:
        """Takes values off a list; errors as of `add`."""
        author = self._author(user, why)
        return self._done(user, "list entries removed", name, self._desk.remove(name, values, author))

    def import_(self, user: User, name: str, text: str, why: str, *, replace: bool) -> dict[str, Any]:
        """Puts the entries of CSV on a list; errors as of `add`, naming the line."""
        author = self._author(user, why)
        given = read_csv(text, self._desk.get(name).of, "text")
        change = self._desk.replace if replace else self._desk.add
        return self._done(user, "list imported", name, change(name, given, author))

    def delete(self, user: User, name: str, why: str) -> dict[str, Any]:
        """Removes a list; errors as of `add`."""
        author = self._author(user, why)
        return self._done(user, "list deleted", name, self._desk.delete(name, author))

    def _author(self, user: User, why: str) -> Author:
        user.require(Role.LEAD)
        return Author(user.name, why)

    def _show(self, user: User, name: str) -> None:
        user.require(Role.ANALYST)
        if self._desk.get(name).of == "card":
            user.saw(f"list {name}")

    def _done(self, user: User, act: str, name: str, changed: Changed) -> dict[str, Any]:
        self._audit(user.name, act, f"{name} {changed.version}")
        return asdict(changed)
