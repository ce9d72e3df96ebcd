"""Sessions of people who have signed in, in a store that all consoles share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from adapters.objects.store import ObjectStore

_SESSIONS, _CODES = "sessions/", "codes/"


class StoredSessions:
    """Keeps them in a store of objects, by a hash of their token.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def get(self, name: str) -> dict[str, Any] | None:
        """A session; None where there is none, or it was ended."""
        found = self._objects.get(f"{_SESSIONS}{name}.json")
        return None if found is None else json.loads(found.data)

    def put(self, name: str, session: dict[str, Any]) -> None:
        """Keeps a session."""
        self._objects.put(f"{_SESSIONS}{name}.json", json.dumps(session).encode())

    def delete(self, name: str) -> None:
        """Ends a session."""
        self._objects.delete(f"{_SESSIONS}{name}.json")

    def names(self) -> Iterator[str]:
        """Those that are kept."""
        for key in self._objects.keys(_SESSIONS):
            yield key.removeprefix(_SESSIONS).removesuffix(".json")

    def use_code(self, user: str, step: int) -> bool:
        """Marks a one-time code as used; False where it was used before, in whichever console."""
        place = f"{_CODES}{user.encode().hex()}/"
        if not self._objects.put_new(f"{place}{step:012d}", b""):
            return False
        for key in list(self._objects.keys(place)):
            if key < f"{place}{step - 10:012d}":
                self._objects.delete(key)
        return True
