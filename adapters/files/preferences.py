"""What people chose for themselves, in a store that all consoles share: one object each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from adapters.objects.store import ObjectStore, put_over

_FOLDER = "preferences/"


class StoredPreferences:
    """Keeps them in a store of objects, by a hash of the user's name, which may hold any sign.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def get(self, user: str) -> dict[str, Any]:
        """What a user chose; empty where they chose nothing."""
        found = self._objects.get(_place(user))
        return {} if found is None else json.loads(found.data)

    def change(self, user: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Changes what a user chose; of changes at the same time, also in other consoles, each counts.

        Args:
            user: whose.
            edit: gives what is chosen then; called again where another change came between.
        """
        place = _place(user)
        while True:
            found = self._objects.get(place)
            before, tag = ({}, None) if found is None else (json.loads(found.data), found.tag)
            if put_over(self._objects, place, json.dumps(edit(before)).encode(), tag):
                return


def _place(user: str) -> str:
    return f"{_FOLDER}{hashlib.sha256(user.encode()).hexdigest()}.json"
