"""Backtests that were asked for, and what became of them: objects beside what consoles share."""

from __future__ import annotations

import json
from typing import Any

from adapters.objects.store import ObjectStore
from adapters.policy.changes import Kept

_RUNS, _REQUESTS, _RESULTS = "backtests/runs/", "backtests/requests/", "backtests/results/"


class StoredBacktests:
    """Keeps them in a store of objects.

    Of each it has a run, which says how it stands, a request while it is open, and a result. Names sort by age.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def add(self, name: str, run: dict[str, Any], request: dict[str, Any]) -> None:
        """Keeps a new run; what reads the request finds the run."""
        self._objects.put(_place(_RUNS, name), json.dumps(run).encode())
        self._objects.put(_place(_REQUESTS, name), json.dumps(request).encode())

    def names(self) -> list[str]:
        """All runs, newest first."""
        return [_name(_RUNS, key) for key in self._objects.keys(_RUNS)][::-1]

    def open(self) -> list[str]:
        """Those that have not ended, oldest first."""
        return [_name(_REQUESTS, key) for key in self._objects.keys(_REQUESTS)]

    def run(self, name: str) -> Kept | None:
        """How a run stands; None where there is none."""
        found = self._objects.get(_place(_RUNS, name))
        return None if found is None else Kept(json.loads(found.data), found.tag)

    def replace(self, name: str, run: dict[str, Any], tag: str) -> bool:
        """Says how a run stands; False where somebody else did meanwhile."""
        return self._objects.replace(_place(_RUNS, name), json.dumps(run).encode(), tag)

    def request(self, name: str) -> dict[str, Any] | None:
        """What was asked for; None where the run has ended."""
        found = self._objects.get(_place(_REQUESTS, name))
        return None if found is None else json.loads(found.data)

    def close(self, name: str) -> None:
        """Takes a run that has ended off the open ones."""
        self._objects.delete(_place(_REQUESTS, name))

    def put_result(self, name: str, result: str) -> None:
        """Keeps what a run found, as JSON."""
        self._objects.put(_place(_RESULTS, name), result.encode())

    def result(self, name: str) -> bytes | None:
        """What a run found; None where there is nothing."""
        found = self._objects.get(_place(_RESULTS, name))
        return None if found is None else found.data

    def forget(self, name: str) -> None:
        """Removes a run with all that belongs to it."""
        for kind in (_REQUESTS, _RESULTS, _RUNS):
            self._objects.delete(_place(kind, name))


def _place(kind: str, name: str) -> str:
    return f"{kind}{name}.json"


def _name(kind: str, key: str) -> str:
    return key.removeprefix(kind).removesuffix(".json")
