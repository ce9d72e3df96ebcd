"""Pins what a batch is decided by before anything of it is stored, so that every attempt of it decides alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from adapters.archive.archive import Archive
from adapters.archive.layout import pin_key, pins_prefix, policy_key
from adapters.archive.policies import stored_policy
from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import PolicyBundle
from fraud.errors import FatalError


class Pin(msgspec.Struct, frozen=True):
    """What the attempts of a batch have in common.

    Attributes:
        policy_version: of the policy with its lists, also the living ones.
        model_version: of the model; None for rules alone.
        settings: those that decide about a record (`fraud.pinned`).
        run: the start of the job that began the batch.
        program: version of its program.
        arrival_ms: names the hour below which the batch's objects lie; None where each partition has its own, as in
            batches of versions that pinned nothing but policy and model.
    """

    policy_version: str
    model_version: str | None
    settings: dict[str, Any] = {}
    run: str = ""
    program: str = ""
    arrival_ms: int | None = None


class Pins:
    """The pins of a query.

    Args:
        archive: where they are kept.
        query: its name.
        lists: the store of living lists; None where there is none.
    """

    def __init__(self, archive: Archive, query: str, lists: ListStore | None = None) -> None:
        self._archive = archive
        self._query = query
        self._lists = lists
        self._stored: set[str] = set()

    def pin(self, number: int, pin: Pin, policy: PolicyBundle, runs: frozenset[str]) -> Pin:
        """Pins what is at hand, or takes over what another task or attempt pinned first.

        The policy's files are stored under their version before a pin names it, so that a later attempt finds them; the
        living lists of that version are in their store's log.

        Args:
            number: of the batch, as the archive has it.
            pin: of this attempt.
            policy: its policy.
            runs: whose pins may stand: this run, and one that began the batch before it.

        Raises:
            FatalError: another run has begun the batch meanwhile; nothing was written.
        """
        if policy.files_version not in self._stored:
            self._archive.put_new(policy_key(policy.version), policy.to_bytes())
            self._stored.add(policy.files_version)
        key = pin_key(self._query, number)
        if self._archive.put_new(key, msgspec.json.encode(pin)):
            return pin
        standing = self.read(number)
        assert standing is not None, f"{key} was taken and is gone: nothing may delete from the archive while writing"
        if standing.run not in runs:
            raise FatalError(
                f"another run of {self._query} (program {standing.program or 'unknown'}) has begun batch {number} "
                "meanwhile; nothing was written: stop one of the two jobs and start the other again"
            )
        return standing

    def read(self, number: int) -> Pin | None:
        """The pin of a batch; None where nothing of it was stored."""
        stored = self._archive.get(pin_key(self._query, number))
        return None if stored is None else parse_pin(stored)

    def newest(self, after: int = -1) -> int | None:
        """The highest number of a pinned batch above `after`; None where there is none.

        Found by halving: a query that ran for months has millions.
        """
        newest, high = self._next(after), 10**12
        while newest is not None and high - newest > 1:
            middle = (newest + high - 1) // 2
            later = self._next(middle)
            if later is None:
                high = middle + 1
            else:
                newest = later
        return newest

    def numbers(self, after: int = -1) -> Iterator[int]:
        """The numbers of pinned batches above `after`, in order."""
        beyond = pin_key(self._query, after) if after >= 0 else ""
        for key in self._archive.keys(pins_prefix(self._query), after=beyond):
            yield int(key.rsplit("/", 1)[1].removesuffix(".json"))

    def _next(self, after: int) -> int | None:
        return next(self.numbers(after), None)

    def policy(self, number: int) -> PolicyBundle | None:
        """The policy that a batch is pinned to; None where nothing of it was stored."""
        pin = self.read(number)
        return None if pin is None else stored_policy(self._archive, pin.policy_version, self._lists)

    def last_policy(self) -> PolicyBundle | None:
        """The policy of the newest batch that was begun; None where there is none."""
        newest = self.newest()
        return None if newest is None else self.policy(newest)


def parse_pin(stored: bytes) -> Pin:
    """Reads a pin; those of versions that pinned policy and model alone were a list of the two.

    >>> parse_pin(b'["p1",null]').policy_version
    'p1'
    """
    if stored.startswith(b"["):
        return Pin(*msgspec.json.decode(stored, type=tuple[str, str | None]))
    return msgspec.json.decode(stored, type=Pin)
