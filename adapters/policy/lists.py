"""The store of living lists: a log of changes in a store of objects, of which each number is written once.

    changes/000000000001.json     what one change was: the commit, as nobody can write a number that is taken
    snapshots/000000000100.json   all lists after a change, so that a reader need not begin with the first

Whoever reads keeps the lists in memory and asks for the next number; that is one request, and none of it depends on how
long the lists are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from adapters.objects.store import ObjectStore
from fraud.decision.policy.living import Change, Lists, decode_lists, encode_lists, rewritten_change
from fraud.errors import FraudError, MisconfiguredError, RetryableError, ServiceError
from fraud.records.token_search import names_token, without_token

CHANGES, SNAPSHOTS = "changes/", "snapshots/"

SNAPSHOT_EVERY = 100
"""Changes between two snapshots: the most that a start has to read one by one."""

_ATTEMPTS = 20
"""To write the next change while others write too."""

_RECENT = 8
"""Versions that are kept in memory: another attempt of a batch asks for one of the last."""

log = structlog.get_logger()


class ListStore:
    """The lists of one place; may be used by several threads.

    Args:
        objects: where they lie.
        now_ms: UTC milliseconds.
        snapshot_every: changes between two snapshots.
    """

    def __init__(
        self,
        objects: ObjectStore,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        self._objects = objects
        self._now_ms = now_ms
        self._snapshot_every = snapshot_every
        self._known: Lists | None = None
        self._recent: dict[str, Lists] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it lies."""
        return self._objects.address

    def read(self) -> Lists:
        """The lists as they are now.

        Raises:
            MisconfiguredError: they cannot be read.
        """
        with self._lock:
            if self._known is None:
                self._known = self._begin(None)
            changes: list[Change] = []
            while (change := self._change(self._known.number + len(changes) + 1)) is not None:
                if change.rewritten:
                    self._known, changes = self._begin(change.number), []
                    self._recent.clear()
                    continue
                changes.append(change)
            if changes:
                self._known = self._known.after(changes)
            self._recent[self._known.version] = self._known
            while len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]
            return self._known

    def at(self, version: str) -> Lists:
        """The lists as they were at a version.

        Raises:
            MisconfiguredError: there was no such version here.
        """
        if not version:
            return Lists()
        self.read()
        if version in self._recent:
            return self._recent[version]
        number = version.partition("-")[0]
        found = self._begin(int(number)) if number.isdecimal() else Lists()
        if found.version != version:
            raise MisconfiguredError("lists.path", f"{self.address} has no version {version} of its lists")
        return found

    def change(self, number: int) -> Change | None:
        """The change of a number; None where there is none yet.

        Raises:
            MisconfiguredError: it cannot be read.
        """
        return self._change(number)

    def changes(self) -> Iterator[Change]:
        """Every change, the newest first."""
        for number in range(self.read().number, 0, -1):
            change = self._change(number)
            if change is not None:
                yield change

    def copy_to(self, other: ListStore) -> None:
        """Copies the whole store into an empty one."""
        for key in self._objects.keys(""):
            stored = self._objects.get(key)
            if stored is not None:
                other._objects.put_new(key, stored.data)

    def append(self, make: Callable[[Lists], Change | None]) -> Lists:
        """Writes the next change.

        Args:
            make: gives it, made from the lists as they are; None where there is nothing to do. Called again where
                somebody else's change came first.

        Returns:
            The lists after it.

        Raises:
            ListError: `make` refuses.
            RetryableError: others were faster every time.
        """
        for _ in range(_ATTEMPTS):
            before = self.read()
            change = make(before)
            if change is None:
                return before
            if self._put_new(_change_key(change.number), msgspec.json.encode(change)):
                after = self.read()
                if change.number % self._snapshot_every == 0 and after.number == change.number:
                    self._keep(after)
                return after
        raise RetryableError(f"{self.address}: others changed the lists {_ATTEMPTS} times meanwhile; try again")

    def erase(self, card_token: str, by: str, *, dry_run: bool) -> int:
        """Takes a card's token out of every change and snapshot, and has all readers begin from the beginning.

        Returns:
            How many objects named it. Safe to repeat and to kill.
        """
        found = [key for prefix in (CHANGES, SNAPSHOTS) for key in self._naming(prefix, card_token)]
        if not found or dry_run:
            return len(found)
        for key in found:
            stored = self._objects.get(key)
            if stored is not None:
                self._objects.put(key, without_token(stored.data.decode(), card_token).encode())
        self.append(lambda lists: rewritten_change(lists, by=by, at_ms=self._now_ms(), why="a card was erased"))
        return len(found)

    def _naming(self, prefix: str, card_token: str) -> Iterator[str]:
        for key in self._objects.keys(prefix):
            stored = self._objects.get(key)
            if stored is not None and names_token(stored.data, card_token):
                yield key

    def _begin(self, until: int | None) -> Lists:
        """The lists from the newest snapshot on, up to a number; None goes on to the end."""
        last = _snapshot_key(until) if until is not None else None
        with _reading(self.address):
            kept = [key for key in self._objects.keys(SNAPSHOTS) if last is None or key <= last]
            stored = self._objects.get(kept[-1]) if kept else None
            lists = Lists() if stored is None else decode_lists(stored.data)
        changes: list[Change] = []
        while until is None or lists.number + len(changes) < until:
            change = self._change(lists.number + len(changes) + 1)
            if change is None:
                break
            changes.append(change)
        return lists.after(changes)

    def _change(self, number: int) -> Change | None:
        key = _change_key(number)
        with _reading(f"{self.address.rstrip('/')}/{key}"):
            stored = self._objects.get(key)
            return None if stored is None else msgspec.json.decode(stored.data, type=Change)

    def _put_new(self, key: str, data: bytes) -> bool:
        try:
            return self._objects.put_new(key, data)
        except RetryableError:
            raise
        except ServiceError as error:
            raise MisconfiguredError("lists.path", f"{self.address} cannot be written: {error}") from None

    def _keep(self, lists: Lists) -> None:
        """Leaves a snapshot. Without it a start reads more changes, and nothing else is different."""
        try:
            self._objects.put(_snapshot_key(lists.number), encode_lists(lists))
        except FraudError as error:
            log.warning("lists_snapshot_not_kept", version=lists.version, problem=str(error))


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """What the store or its content raises becomes an error that names the place."""
    try:
        yield
    except (ServiceError, msgspec.DecodeError) as error:
        raise MisconfiguredError("lists.path", f"{place} cannot be read: {error}") from None


def _change_key(number: int) -> str:
    return f"{CHANGES}{number:012d}.json"


def _snapshot_key(number: int) -> str:
    return f"{SNAPSHOTS}{number:012d}.json"
