"""Keyboard shortcuts of each user: one key an action, which the user may choose or turn off (WCAG 2.1.4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from console.errors import ConflictError, InvalidError


class Action(NamedTuple):
    """What a shortcut does.

    Attributes:
        name: in the API, and in what is kept.
        does: in words.
        usual: its key where the user chose none.
    """

    name: str
    does: str
    usual: str


ACTIONS = (
    Action("next", "next case", "j"),
    Action("previous", "previous case", "k"),
    Action("select", "select", "x"),
    Action("confirm_fraud", "confirm fraud", "f"),
    Action("false_positive", "false positive", "p"),
    Action("escalate", "escalate", "e"),
    Action("assign", "assign to me", "m"),
    Action("undo", "undo", "u"),
    Action("next_for_me", "next for me", "n"),
    Action("shortcuts", "show the shortcuts", "?"),
)
_KNOWN = {action.name: action for action in ACTIONS}

NONE = ""
"""The key of an action that has none."""

_MODIFIERS = ("Alt", "Shift")
_BROWSERS = {
    "/": "Firefox finds in the page with it",
    "'": "Firefox finds in links with it",
    **dict.fromkeys((f"Alt+{letter}" for letter in "bdefhstv"), "it opens a menu or the address bar of browsers"),
    **dict.fromkeys((f"Alt+{digit}" for digit in "0123456789"), "browsers change tabs with it"),
    **dict.fromkeys((f"Alt+Shift+{letter}" for letter in "abit"), "browsers open parts of their own with it"),
}
"""Keys that are taken by what the console runs in, and what they do there."""


class Preferences(Protocol):
    """See `adapters.files.preferences.StoredPreferences`."""

    def get(self, user: str) -> dict[str, Any]: ...  # noqa: D102

    def change(self, user: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None: ...  # noqa: D102


class PreferenceMemory:
    """Preferences of one process, which end with it; see `Preferences`."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {}

    def get(self, user: str) -> dict[str, Any]:  # noqa: D102
        return self._kept.get(user, {})

    def change(self, user: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:  # noqa: D102
        self._kept[user] = edit(self.get(user))


def key_of(written: str) -> str:
    """A key as it is kept: a sign, alone or with Alt and Shift.

    >>> key_of("F"), key_of("Alt+Shift+F"), key_of("?"), key_of("Alt++"), key_of("")
    ('f', 'Alt+Shift+f', '?', 'Alt++', '')

    Raises:
        InvalidError: it is no such key, or taken by browsers or the page.
    """
    if written == NONE:
        return NONE
    rest, modifiers = written, []
    for modifier in _MODIFIERS:
        if rest.startswith(f"{modifier}+") and len(rest) > len(modifier) + 1:
            rest = rest.removeprefix(f"{modifier}+")
            modifiers.append(modifier)
    sign = rest.lower()
    if len(rest) != 1 or len(sign) != 1 or unicodedata.category(sign)[0] in "CZM":
        raise InvalidError(
            f"{written} cannot be a shortcut: a letter, digit or sign can, alone or with Alt, Shift or both; "
            "other keys and those with Ctrl belong to the page and the browser"
        )
    key = "+".join([*modifiers, sign])
    if key in _BROWSERS:
        raise InvalidError(f"{key} cannot be a shortcut: {_BROWSERS[key]}")
    return key


def keys_of(chosen: Mapping[str, str]) -> dict[str, str]:
    """The key of each action in force; one whose usual key somebody chose for another action has none."""
    taken = {key for name, key in chosen.items() if name in _KNOWN}
    return {action.name: chosen.get(action.name, NONE if action.usual in taken else action.usual) for action in ACTIONS}


class ShortcutDesk:
    """Shows and changes the shortcuts of a user.

    Args:
        preferences: where choices are kept.
    """

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    def of(self, user: str) -> dict[str, Any]:
        """Whether a user's shortcuts are on, and each action with its key."""
        kept = self._preferences.get(user).get("shortcuts", {})
        keys = keys_of(kept.get("keys", {}))
        actions = [{"action": one.name, "does": one.does, "usual": one.usual, "key": keys[one.name]} for one in ACTIONS]
        return {"on": kept.get("on", True), "actions": actions}

    def change(self, user: str, on: bool | None, keys: Mapping[str, str | None]) -> dict[str, Any]:
        """Turns the shortcuts of a user on or off, and gives actions keys; the shortcuts as they are then.

        Args:
            user: whose.
            on: whether they work; None leaves that as it is.
            keys: by action; empty for none, None for the usual one.

        Raises:
            InvalidError: there is no such action, or a key cannot be a shortcut.
            ConflictError: a key is that of another action.
        """
        for name in keys:
            if name not in _KNOWN:
                raise InvalidError(f"there is no action {name}; there are {', '.join(_KNOWN)}")
        given = {name: None if key is None else key_of(key) for name, key in keys.items()}

        def edit(preferences: dict[str, Any]) -> dict[str, Any]:
            kept = preferences.get("shortcuts", {})
            chosen = {name: key for name, key in kept.get("keys", {}).items() if given.get(name, key) is not None}
            chosen |= {name: key for name, key in given.items() if key is not None}
            _require_apart(chosen, given)
            after = {"on": kept.get("on", True) if on is None else on, "keys": chosen}
            return {**preferences, "shortcuts": after}

        self._preferences.change(user, edit)
        return self.of(user)


def _require_apart(chosen: Mapping[str, str], given: Mapping[str, str | None]) -> None:
    """Refuses what gives an action the key of another one, which has it by choice or as usual."""
    wanted = {action.name: chosen.get(action.name, action.usual) for action in ACTIONS}
    for name in given:
        for other, key in wanted.items():
            if other != name and key != NONE and key == wanted[name]:
                raise ConflictError(f"{key} is the key of “{_KNOWN[other].does}” already; give that one another first")
