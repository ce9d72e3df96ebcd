"""Lists that change while programs run: a log of changes, and what the lists are after it.

Every change has a number and says who made it, when and why. The lists after a change are its version; the same log
always gives the same lists, so whoever knows the version knows what was on them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from fraud.decision.policy.document import ENTITY_FIELDS, EntityName, ListKind, kind_problem
from fraud.decision.policy.lists import NEVER_MS, CompiledList, ListedValue, checked_list
from fraud.decision.rules.rule import Identifier
from fraud.errors import FraudError
from fraud.records.card_number import find_card_number
from fraud.records.schema import END_MS, time_of

MAX_LISTS = 200
"""Lists of a store."""

MAX_ENTRIES = 1_000_000
"""Entries of a list."""

MAX_TEXT = 500
"""Characters of a note or a reason."""

_MAX_NAME = 64
_LETTERS = str.maketrans("0123456789", "ghijklmnop")

_name = TypeAdapter(Identifier)


class ListError(FraudError):
    """A change of a list that is refused: one line that names the entry and what is wrong with it."""

    exit_code = 2


class NoSuchListError(ListError):
    """There is no list of a name."""


class Given(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry as it is added.

    Attributes:
        value: the card token, merchant id, network, range of BINs, ...
        expires_ms: event time from which it no longer counts, UTC milliseconds; None for never.
        note: about it.
    """

    value: str
    expires_ms: int | None = None
    note: str = ""


class Change(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change of one list, as the log keeps it.

    Attributes:
        number: its place in the log, from 1.
        id: distinguishes it from the change of this number in another log.
        name: of the list; it is made by its first change.
        kind: what being on the list does.
        of: what its entries are.
        put: entries that are added, or take the place of the one of their value.
        removed: values that are taken off.
        gone: whether the list itself is removed, with all its entries.
        rewritten: whether earlier changes have other content than they had: a reader begins from the beginning.
        by: who made it.
        at_ms: when, UTC milliseconds.
        why: in the words of who made it.
    """

    number: int
    id: str
    name: str
    kind: ListKind
    of: EntityName
    put: tuple[Given, ...] = ()
    removed: tuple[str, ...] = ()
    gone: bool = False
    rewritten: bool = False
    by: str
    at_ms: int
    why: str = ""

    @property
    def version(self) -> str:
        """Version of the lists after it."""
        return f"{self.number}-{self.id}"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry that is on a list: as it was given, and who put it there, when and why."""

    value: str
    expires_ms: int | None
    note: str
    by: str
    at_ms: int
    why: str

    def described(self, now_ms: int) -> dict[str, Any]:
        """For people: times in UTC, and whether it has expired by now."""
        return {
            "value": self.value,
            "expires": None if self.expires_ms is None else time_of(self.expires_ms).isoformat(),
            "expired": self.expires_ms is not None and self.expires_ms <= now_ms,
            "note": self.note,
            "by": self.by,
            "at": time_of(self.at_ms).isoformat(),
            "why": self.why,
        }


@dataclass(frozen=True)
class LivingList:
    """A list as it is after some change.

    Attributes:
        name: of it.
        kind: what being on it does.
        of: what its entries are.
        entries: by value.
    """

    name: str
    kind: ListKind
    of: EntityName
    entries: Mapping[str, Entry] = field(repr=False)

    @cached_property
    def compiled(self) -> CompiledList:
        """Ready for look-ups; made once, however many versions of other lists come."""
        values = (
            ListedValue(entry.value, NEVER_MS if entry.expires_ms is None else entry.expires_ms)
            for entry in self.entries.values()
        )
        return checked_list(self.name, self.kind, self.of, values)


@dataclass(frozen=True)
class Lists:
    """All lists of a store after a change.

    Attributes:
        number: of that change; 0 before the first.
        id: of that change.
        by_name: the lists.
    """

    number: int = 0
    id: str = ""
    by_name: Mapping[str, LivingList] = field(default_factory=dict, repr=False)

    @property
    def version(self) -> str:
        """Names them: the number of the change and its id; empty before the first."""
        return f"{self.number}-{self.id}" if self.number else ""

    def after(self, changes: Iterable[Change]) -> Lists:
        """What further changes make of them; a list that none names stays the same object."""
        number, identifier = self.number, self.id
        lists, own = dict(self.by_name), dict[str, dict[str, Entry]]()
        for change in changes:
            number, identifier = change.number, change.id
            if change.gone or change.rewritten:
                lists.pop(change.name, None)
                own.pop(change.name, None)
                continue
            if change.name not in own:
                standing = lists.get(change.name)
                own[change.name] = {} if standing is None else dict(standing.entries)
                lists[change.name] = LivingList(change.name, change.kind, change.of, own[change.name])
            entries = own[change.name]
            for value in change.removed:
                entries.pop(value, None)
            for given in change.put:
                entries[given.value] = Entry(
                    given.value, given.expires_ms, given.note, change.by, change.at_ms, change.why
                )
        return Lists(number, identifier, lists)


NO_LISTS = Lists()
"""Before the first change."""


class _StoredList(msgspec.Struct, frozen=True):
    name: str
    kind: ListKind
    of: EntityName
    entries: list[Entry]


class _Snapshot(msgspec.Struct, frozen=True):
    number: int
    id: str
    lists: list[_StoredList]


def encode_lists(lists: Lists) -> bytes:
    """All lists as one document, from which a reader begins in place of the first change."""
    stored = [
        _StoredList(each.name, each.kind, each.of, list(each.entries.values())) for each in lists.by_name.values()
    ]
    return msgspec.json.encode(_Snapshot(lists.number, lists.id, stored))


def decode_lists(data: bytes) -> Lists:
    """The inverse of `encode_lists`."""
    found = msgspec.json.decode(data, type=_Snapshot)
    lists = {
        each.name: LivingList(each.name, each.kind, each.of, {entry.value: entry for entry in each.entries})
        for each in found.lists
    }
    return Lists(found.number, found.id, lists)


def next_change(
    before: Lists,
    name: str,
    kind: ListKind,
    of: EntityName,
    *,
    by: str,
    at_ms: int,
    why: str,
    put: Sequence[Given] = (),
    removed: Sequence[str] = (),
    gone: bool = False,
) -> Change:
    """The change that comes after some lists, checked.

    Raises:
        ListError: naming the first thing that no list may hold, or that no transaction could have.
    """
    _check_text("--by", by, _MAX_NAME)
    _check_text("--why", why, MAX_TEXT)
    _check_name(name)
    standing = before.by_name.get(name)
    if standing is None and len(before.by_name) >= MAX_LISTS:
        raise ListError(f"list {name}: the store has {MAX_LISTS} lists, which is the limit: delete one first")
    if standing is not None and (standing.kind, standing.of) != (kind, of):
        raise ListError(
            f"list {name}: is a {standing.kind} list of {standing.of}, not a {kind} list of {of}; use another name"
        )
    if problem := kind_problem(kind, of):
        raise ListError(f"list {name}: {problem}")
    for number, given in enumerate(put, 1):
        check_entry(f"list {name}: entry {number}", of, given)
    known: Mapping[str, Entry] = {} if standing is None else standing.entries
    left = len(known) - len(known.keys() & set(removed))
    if (count := left + sum(value not in known for value in {given.value for given in put})) > MAX_ENTRIES:
        raise ListError(f"list {name}: would have {count:,} entries; {MAX_ENTRIES:,} is the limit")
    said = msgspec.json.encode([before.id, before.number, name, put, removed, gone, by, at_ms, why])
    return Change(
        number=before.number + 1,
        id=_id_of(said),
        name=name,
        kind=kind,
        of=of,
        put=tuple(put),
        removed=tuple(removed),
        gone=gone,
        by=by,
        at_ms=at_ms,
        why=why,
    )


def rewritten_change(before: Lists, *, by: str, at_ms: int, why: str) -> Change:
    """The change that says that earlier ones have other content than they had; itself it changes no list."""
    said = msgspec.json.encode([before.id, before.number, by, at_ms, why])
    return Change(
        number=before.number + 1,
        id=_id_of(said),
        name="",
        kind=ListKind.NAMED,
        of="card",
        rewritten=True,
        by=by,
        at_ms=at_ms,
        why=why,
    )


def _id_of(said: bytes) -> str:
    """Eight letters: beside a number, digits might together read as a card number, which no record may hold."""
    return hashlib.sha256(said).hexdigest()[:8].translate(_LETTERS)


def expiry_ms(text: str) -> int:
    """UTC milliseconds of a time with its offset (RFC 3339), or of the end of a day.

    Raises:
        ListError: it is neither.

    >>> expiry_ms("2026-01-01T00:00:00Z") == expiry_ms("2026-01-01T01:00:00+01:00"), expiry_ms("1970-01-01")
    (True, 86400000)
    """
    try:
        if len(text) == len("2026-01-01"):
            time = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) + dt.timedelta(days=1)
        else:
            time = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ListError(
            f"{text[:40]!r} is no time: write 2026-12-31 or, with its offset, 2026-12-31T18:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise ListError(f"{text} lacks its offset from UTC: write it as {text}Z")
    return round(time.timestamp() * 1000)


def _check_name(name: str) -> None:
    try:
        _name.validate_python(name)
    except ValidationError:
        raise ListError(
            f"{name[:_MAX_NAME]!r} is no name of a list: lower-case letters, digits and single dashes, up to 64"
        ) from None


def check_entry(place: str, of: EntityName, given: Given) -> None:
    """Refuses what no list of an entity may hold, or no transaction could have.

    Args:
        place: of the entry, for the message.
        of: what the list is of.
        given: the entry.

    Raises:
        ListError: naming place and fault in one line.
    """
    _check_text(f"{place}: note", given.note, MAX_TEXT)
    if find_card_number(given.value.encode("utf-8", "surrogateescape")) is not None:
        raise ListError(f"{place}: is a card number; lists hold the card's token")
    try:
        if ListedValue.checked(of, given.value) is None and of == "ip":
            ipaddress.ip_address(given.value)
    except ValueError as error:
        raise ListError(f"{place}: {given.value[:80]!r} is no {ENTITY_FIELDS.get(of, of)}: {error}") from None
    if given.expires_ms is not None and not 0 < given.expires_ms < END_MS:
        raise ListError(f"{place}: expires outside the years 1970 to 2261")


def _check_text(place: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ListError(f"{place}: has {len(text):,} characters; {longest} is the limit")
    if not text.isprintable():
        raise ListError(f"{place}: holds a line break or another control character")
    if find_card_number(text.encode("utf-8", "surrogateescape")) is not None:
        raise ListError(f"{place}: holds a card number; name the card's token")
