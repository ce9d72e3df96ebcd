"""Second verdicts on alerts that are decided twice, one object each: the first to be written counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from adapters.objects.store import ObjectStore

_FOLDER = "second-looks/"


class SecondLooks:
    """Keeps them in a store of objects, by decision key.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: dict[str, dict[str, Any]] = {}

    def put(self, key: str, look: dict[str, Any]) -> bool:
        """Keeps a verdict; False where the alert has a second one already."""
        return self._objects.put_new(f"{_FOLDER}{key}.json", json.dumps(look).encode())

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decision key and second verdict of each; those once read are not read again, as none changes."""
        for place in self._objects.keys(_FOLDER):
            key = place.removeprefix(_FOLDER).removesuffix(".json")
            if key not in self._known and (found := self._objects.get(place)) is not None:
                self._known[key] = json.loads(found.data)
            if key in self._known:
                yield key, self._known[key]
