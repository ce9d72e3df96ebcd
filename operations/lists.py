"""Living lists as people and programs change them: the command line, the console and the interfaces of others."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, NamedTuple, TypeVar

from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy, PolicyError
from fraud.decision.policy.document import EntityName, ListKind, PolicyDocument
from fraud.decision.policy.lists import entries_of
from fraud.decision.policy.living import (
    Change,
    Entry,
    Given,
    ListError,
    Lists,
    LivingList,
    NoSuchListError,
    check_entry,
    expiry_ms,
    next_change,
)
from fraud.documents import read_document
from fraud.records.schema import milliseconds_of, time_of

ItemT = TypeVar("ItemT")

COLUMNS = ("value", "expires", "note")
"""Columns of a list as CSV, the same as beside a policy."""

AT_ONCE = 10_000
"""Entries of one change: what a reader takes over without a pause that anybody would notice."""

FROM_POLICY = "policy"
"""Who put an entry there that the policy's files give."""


class Author(NamedTuple):
    """Who changes a list, and why."""

    by: str
    why: str = ""


@dataclass(frozen=True)
class Changed:
    """What a change did.

    Attributes:
        version: of the lists after it.
        added: entries that are new on the list.
        replaced: entries that took the place of one of the same value.
        removed: entries that are off the list.
        absent: values that were to be removed and were not there.
        taken_over: entries of the policy's files that the store has taken over with it.
    """

    version: str
    added: int = 0
    replaced: int = 0
    removed: int = 0
    absent: int = 0
    taken_over: int = 0


class ListDesk:
    """Reads and changes living lists beside those of a policy.

    A list is the store's from its first change on, which takes the entries over that the policy's files give it; from
    then on those of the files have no effect.

    Args:
        store: of the living lists.
        policy: the policy in force, whose files define lists too.
        now_ms: UTC milliseconds.

    Attributes:
        policy: likewise.
    """

    def __init__(
        self,
        store: ListStore,
        policy: Callable[[], CompiledPolicy],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self.policy = policy
        self._now_ms = now_ms
        self._own_of: tuple[str, dict[str, LivingList]] | None = None

    @property
    def version(self) -> str:
        """Version of the living lists; empty before the first change."""
        return self._store.read().version

    def all(self) -> list[dict[str, Any]]:
        """Every list: its name, kind, entity, number of entries, state, and whether the store or the policy has it."""
        living, own, state_of = self._store.read().by_name, self._own(), self.policy().state_of_list
        every: Mapping[str, LivingList] = own | dict(living)
        return [
            {
                "name": name,
                "kind": each.kind.value,
                "of": each.of,
                "entries": len(each.entries),
                "state": state_of(name).value,
                "in": "store" if name in living else "policy",
            }
            for name, each in sorted(every.items())
        ]

    def get(self, name: str) -> LivingList:
        """A list, of the store or of the policy.

        Raises:
            ListError: there is none.
        """
        found = self._store.read().by_name.get(name) or self._own().get(name)
        if found is None:
            raise NoSuchListError(f"there is no list {name[:64]}: `fraud lists show` has the names")
        return found

    def entries(self, name: str, after: str = "", most: int = 1_000, search: str = "") -> list[dict[str, Any]]:
        """Entries of a list in the order of their values, those behind `after` that contain `search`; see `get`."""
        found = self.get(name).entries
        wanted = (value for value in sorted(found) if value > after and search in value)
        return [found[value].described(self._now_ms()) for value in islice(wanted, most)]

    def changes(self, name: str, most: int) -> list[Change]:
        """What was done to a list, the newest first; its times are UTC milliseconds."""
        return list(islice((change for change in self._store.changes() if change.name == name), most))

    def was_removed(self, name: str, value: str, since_ms: int) -> bool:
        """Whether a value was taken off a list at or after a time."""
        later = takewhile(lambda change: change.at_ms >= since_ms, self._store.changes())
        return any(change.name == name and (change.gone or value in change.removed) for change in later)

    def create(self, name: str, kind: ListKind, of: EntityName, author: Author) -> Changed:
        """Makes a list without entries.

        Raises:
            ListError: there is one of this name already.
        """

        def make(before: Lists) -> Change:
            if name in before.by_name or name in self._own():
                raise ListError(f"list {name}: is there already")
            return self._next(before, name, kind, of, author)

        return Changed(self._store.append(make).version)

    def add(
        self,
        name: str,
        entries: Sequence[Given],
        author: Author,
        kind: ListKind | None = None,
        of: EntityName | None = None,
    ) -> Changed:
        """Adds entries, or puts them in place of those of the same value; all of them or none are sound.

        Args:
            name: of the list.
            entries: what to add.
            author: who does it.
            kind: of a list that is to be made; of one that is there it must be the same.
            of: likewise.

        Raises:
            ListError: naming the first entry that is refused; nothing is changed.
        """
        known = self._own().get(name)
        shape = self._store.read().by_name.get(name) or known
        if shape is None and (kind is None or of is None):
            raise NoSuchListError(f"there is no list {name[:64]}: say what it does and what it is of to make it")
        kind, of = kind or shape.kind, of or shape.of  # type: ignore[union-attr]
        entries = list({given.value: given for given in entries}.values())
        for number, given in enumerate(entries, 1):
            check_entry(f"list {name}: entry {number}", of, given)
        done = Changed("")
        for part in _parts(entries) or [[]]:
            done = self._put(name, part, author, kind, of, done)
        return done

    def remove(self, name: str, values: Sequence[str], author: Author) -> Changed:
        """Takes values off a list.

        Raises:
            ListError: there is no such list, or none of the values is on it.
        """
        shape = self.get(name)
        done = Changed(self.version)
        for part in _parts(list(dict.fromkeys(values))):
            done = self._take_off(name, part, author, shape, done)
        if not done.removed and done.absent:
            raise ListError(f"list {name}: none of the {done.absent} values is on it")
        return done

    def replace(
        self,
        name: str,
        entries: Sequence[Given],
        author: Author,
        kind: ListKind | None = None,
        of: EntityName | None = None,
    ) -> Changed:
        """Makes a list hold exactly these entries: first adds, then takes off, so that nothing is missing meanwhile.

        Arguments and errors as of `add`.
        """
        added = self.add(name, entries, author, kind, of)
        wanted = {given.value for given in entries}
        over = [value for value in self.get(name).entries if value not in wanted]
        if not over:
            return added
        removed = self.remove(name, over, author)
        return Changed(removed.version, added.added, added.replaced, removed.removed, removed.absent, added.taken_over)

    def delete(self, name: str, author: Author) -> Changed:
        """Removes a list of the store with all its entries; where the policy's files have it, theirs count again.

        Raises:
            ListError: the store has no such list, or a rule asks it.
        """

        def make(before: Lists) -> Change:
            standing = before.by_name.get(name)
            if standing is None:
                raise NoSuchListError(f"the store has no list {name[:64]}")
            change = self._next(before, name, standing.kind, standing.of, author, gone=True)
            try:
                self.policy().with_lists(before.after([change]))
            except PolicyError as error:
                raise ListError(error.faults[0]) from None
            return change

        removed = len(self.get(name).entries)
        return Changed(self._store.append(make).version, removed=removed)

    def migrate(self, author: Author) -> dict[str, int]:
        """Takes all lists of the policy's files over that the store does not have yet; how many entries of each."""
        done: dict[str, int] = {}
        for name, own in sorted(self._own().items()):
            if name not in self._store.read().by_name:
                done[name] = self._put(name, (), author, own.kind, own.of, Changed("")).taken_over
        return done

    def _put(
        self, name: str, entries: Sequence[Given], author: Author, kind: ListKind, of: EntityName, done: Changed
    ) -> Changed:
        counts = {"added": 0, "replaced": 0, "taken_over": 0}

        def make(before: Lists) -> Change:
            taken = self._taken_over(before, name)
            standing = before.by_name.get(name)
            there = {given.value for given in taken} if standing is None else standing.entries.keys()
            counts["replaced"] = sum(given.value in there for given in entries)
            counts["added"] = len(entries) - counts["replaced"]
            counts["taken_over"] = len(taken)
            return self._next(before, name, kind, of, author, put=[*taken, *entries])

        version = self._store.append(make).version
        return Changed(
            version,
            done.added + counts["added"],
            done.replaced + counts["replaced"],
            done.removed,
            done.absent,
            done.taken_over + counts["taken_over"],
        )

    def _take_off(self, name: str, values: Sequence[str], author: Author, shape: LivingList, done: Changed) -> Changed:
        counts = {"removed": 0, "taken_over": 0}

        def make(before: Lists) -> Change | None:
            taken = self._taken_over(before, name)
            standing = before.by_name.get(name)
            there = {given.value for given in taken} if standing is None else standing.entries.keys()
            off = [value for value in values if value in there]
            counts["removed"], counts["taken_over"] = len(off), len(taken) if off else 0
            if not off:
                return None
            put, removed = [given for given in taken if given.value not in off], off if standing is not None else []
            return self._next(before, name, shape.kind, shape.of, author, put=put, removed=removed)

        version = self._store.append(make).version
        return Changed(
            version,
            done.added,
            done.replaced,
            done.removed + counts["removed"],
            done.absent + len(values) - counts["removed"],
            done.taken_over + counts["taken_over"],
        )

    def _next(
        self,
        before: Lists,
        name: str,
        kind: ListKind,
        of: EntityName,
        author: Author,
        put: Sequence[Given] = (),
        removed: Sequence[str] = (),
        gone: bool = False,
    ) -> Change:
        own = self._own().get(name)
        if own is not None and (own.kind, own.of) != (kind, of):
            raise ListError(
                f"list {name}: the policy has it as a {own.kind} list of {own.of}, not a {kind} one of {of}"
            )
        return next_change(
            before,
            name,
            kind,
            of,
            by=author.by,
            at_ms=self._now_ms(),
            why=author.why,
            put=put,
            removed=removed,
            gone=gone,
        )

    def _taken_over(self, before: Lists, name: str) -> list[Given]:
        """What the policy's files have on a list that the store does not have yet."""
        own = self._own().get(name)
        if own is None or name in before.by_name:
            return []
        return [Given(entry.value, entry.expires_ms, entry.note) for entry in own.entries.values()]

    def _own(self) -> dict[str, LivingList]:
        bundle = self.policy().bundle
        if self._own_of is None or self._own_of[0] != bundle.files_version:
            self._own_of = bundle.files_version, lists_of_files(bundle)
        return self._own_of[1]


def lists_of_files(bundle: PolicyBundle) -> dict[str, LivingList]:
    """The lists that a policy's files define, by name, with what the files put on them."""
    document = read_document(ROOT, bundle.files[ROOT], PolicyDocument)
    found: dict[str, LivingList] = {}
    for each in document.lists:
        entries: dict[str, Entry] = {}
        for entry in entries_of(each, bundle.files):
            expires_ms = None if entry.expires_at is None else milliseconds_of(entry.expires_at)
            before = entries.get(entry.value)
            if before is None or _later(expires_ms, before.expires_ms):
                entries[entry.value] = Entry(entry.value, expires_ms, entry.note, FROM_POLICY, 0, "")
        found[each.name] = LivingList(each.name, each.kind, each.of, entries)
    return found


def described(change: Change) -> dict[str, Any]:
    """A change for people: who, when, why, and how many entries; without their values."""
    return {
        "version": change.version,
        "at": time_of(change.at_ms).isoformat()[:19] + "Z",
        "by": change.by,
        "added": len(change.put),
        "removed": "all" if change.gone else len(change.removed),
        "why": change.why,
    }


def _later(one_ms: int | None, other_ms: int | None) -> bool:
    """Whether an expiry is later than another; None is never."""
    return other_ms is not None and (one_ms is None or one_ms > other_ms)


def _parts(items: list[ItemT]) -> list[list[ItemT]]:
    return [items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)]


def read_csv(text: str, of: EntityName, place: str) -> list[Given]:
    """Entries from CSV with the columns value, expires, note; the last two may be missing.

    Args:
        text: of the file.
        of: what the list is of.
        place: the file's name, for messages.

    Raises:
        ListError: naming the first line that is refused.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    names = rows.fieldnames or []
    if "value" not in names or set(names) - set(COLUMNS):
        raise ListError(f"{place}: line 1: name the columns there: {', '.join(COLUMNS)}, and no others")
    found: list[Given] = []
    for row in rows:
        line = f"{place}: line {rows.line_num}"
        if None in row:
            raise ListError(f"{line}: has more values than columns")
        try:
            expires = expiry_ms(row["expires"]) if row.get("expires") else None
        except ListError as error:
            raise ListError(f"{line}: {error}") from None
        given = Given(row["value"] or "", expires, row.get("note") or "")
        check_entry(line, of, given)
        found.append(given)
    return found


def write_csv(entries: Mapping[str, Entry]) -> str:
    """Entries as CSV, in the order of their values; `read_csv` reads it."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for value in sorted(entries):
        entry = entries[value]
        expires = "" if entry.expires_ms is None else time_of(entry.expires_ms).isoformat()
        rows.writerow([value, expires, entry.note])
    return out.getvalue()
