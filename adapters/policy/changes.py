"""What was changed in a policy, and what is proposed: objects beside what consoles share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from adapters.objects.store import ObjectStore

_HISTORY, _PROPOSALS = "policy-history/", "policy-proposals/"


class Kept(NamedTuple):
    """A proposal as it was read.

    Attributes:
        data: what it says.
        tag: of that content, for `replace`.
    """

    data: dict[str, Any]
    tag: str


class PolicyChanges:
    """Keeps them in a store of objects.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[int, dict[str, Any]] = {}

    def add(self, change: dict[str, Any]) -> int:
        """Appends a change to the history; gives its number, from 1."""
        numbers = [_number(key) for key in self._objects.keys(_HISTORY)]
        number = max(numbers, default=0) + 1
        while not self._objects.put_new(_key(number), json.dumps(change).encode()):
            number += 1
        return number

    def change(self, number: int) -> dict[str, Any] | None:
        """A change of the history; None where there is none."""
        if number not in self._known:
            found = self._objects.get(_key(number))
            if found is None:
                return None
            self._known[number] = json.loads(found.data)
        return self._known[number]

    def newest(self, most: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Changes with their numbers, newest first."""
        for key in list(self._objects.keys(_HISTORY))[: -most - 1 : -1]:
            number = _number(key)
            if (change := self.change(number)) is not None:
                yield number, change

    def propose(self, name: str, proposal: dict[str, Any]) -> bool:
        """Keeps a new proposal; False where there is one of this name."""
        return self._objects.put_new(_place(name), json.dumps(proposal).encode())

    def proposal(self, name: str) -> Kept | None:
        """A proposal; None where there is none."""
        found = self._objects.get(_place(name))
        return None if found is None else Kept(json.loads(found.data), found.tag)

    def replace(self, name: str, proposal: dict[str, Any], tag: str) -> bool:
        """Changes a proposal; False where somebody else did meanwhile."""
        return self._objects.replace(_place(name), json.dumps(proposal).encode(), tag)

    def proposals(self, most: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Proposals with their names, newest first."""
        for key in list(self._objects.keys(_PROPOSALS))[: -most - 1 : -1]:
            if (found := self._objects.get(key)) is not None:
                yield key.removeprefix(_PROPOSALS).removesuffix(".json"), json.loads(found.data)


def _key(number: int) -> str:
    return f"{_HISTORY}{number:08d}.json"


def _number(key: str) -> int:
    return int(key.removeprefix(_HISTORY).removesuffix(".json"))


def _place(name: str) -> str:
    return f"{_PROPOSALS}{name}.json"
