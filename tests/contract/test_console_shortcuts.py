"""The keyboard shortcuts of a user: kept in the store, in force in every console, refused in words."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.files.preferences import StoredPreferences
from adapters.objects.folder import FolderObjects
from console.access import Access
from console.api import build_app
from console.services.shortcuts import ACTIONS, keys_of
from tests.support.browsers import PASSWORD
from tests.support.consoles import DOOR, USERS


class World:
    """Consoles that share a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def client(self, name: str) -> TestClient:
        """Somebody signed in at a console of their own."""
        preferences = StoredPreferences(FolderObjects(self.folder))
        access = Access(lambda: USERS, lambda: 1000.0)
        client = TestClient(build_app(access, [], {}, door=DOOR, preferences=preferences))
        signed = client.post("/api/session", json={"name": name, "password": PASSWORD})
        client.headers["x-csrf-token"] = signed.json()["csrf"]
        return client


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def change(client: TestClient, **given: Any) -> tuple[int, str]:
    answer = client.post("/api/session/shortcuts", json=given)
    return answer.status_code, answer.json().get("detail", "")


def keys(client: TestClient) -> dict[str, str]:
    return {one["action"]: one["key"] for one in client.get("/api/session").json()["shortcuts"]["actions"]}


USUAL = {action.name: action.usual for action in ACTIONS}


def test_usual_keys_are_apart_and_what_is_changed_holds_for_that_user_in_every_console(world: World) -> None:
    assert len(set(USUAL.values())) == len(USUAL)
    ann, again, bob = world.client("analyst"), world.client("analyst"), world.client("lead")
    assert keys(ann) == USUAL
    assert change(ann, keys={"confirm_fraud": "C", "undo": "Alt+Shift+Z", "select": ""}) == (200, "")
    mine = USUAL | {"confirm_fraud": "c", "undo": "Alt+Shift+z", "select": ""}
    assert keys(again) == mine
    assert keys(bob) == USUAL
    assert change(again, on=False) == (200, "")
    assert ann.get("/api/session").json()["shortcuts"]["on"] is False
    assert keys(ann) == mine
    assert change(ann, keys={"undo": None}) == (200, "")
    assert keys(ann) == mine | {"undo": "u"}
    assert change(ann, keys=dict.fromkeys(USUAL)) == (200, "")
    assert keys(ann) == USUAL


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"undo": "f"}, 409, "f is the key of “confirm fraud” already; give that one another first"),
        ({"undo": "q", "select": "Q"}, 409, "q is the key of"),
        ({"undo": "/"}, 422, "/ cannot be a shortcut: Firefox finds in the page with it"),
        ({"undo": "Alt+f"}, 422, "Alt+f cannot be a shortcut: it opens a menu"),
        ({"undo": "Enter"}, 422, "a letter, digit or sign can, alone or with Alt, Shift or both"),
        ({"undo": "Ctrl+s"}, 422, "belong to the page and the browser"),
        ({"undo": " "}, 422, "cannot be a shortcut"),
        ({"undo": "\u0301"}, 422, "cannot be a shortcut"),
        ({"undo": "Alt+"}, 422, "cannot be a shortcut"),
        ({"launch": "l"}, 422, "there is no action launch; there are next, previous"),
    ],
)
def test_a_key_that_is_taken_or_reserved_is_refused_in_words_and_nothing_changes(
    world: World, given: Mapping[str, str], code: int, said: str
) -> None:
    ann = world.client("analyst")
    answered, detail = change(ann, keys={"next": "d", **given})
    assert answered == code
    assert said in detail
    assert keys(ann) == USUAL


def test_two_keys_are_swapped_in_one_change(world: World) -> None:
    ann = world.client("analyst")
    assert change(ann, keys={"next": "k", "previous": "j"}) == (200, "")
    assert keys(ann) == USUAL | {"next": "k", "previous": "j"}
    assert change(ann, keys={"next": None})[0] == 409


def test_changes_at_the_same_time_all_count(tmp_path: Path) -> None:
    preferences = StoredPreferences(FolderObjects(tmp_path))
    begin = threading.Barrier(8)

    def count() -> None:
        begin.wait(60)
        for _ in range(10):
            preferences.change("ann", lambda kept: {"n": kept.get("n", 0) + 1})

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert preferences.get("ann") == {"n": 80}


def test_a_choice_outlives_a_version_that_uses_its_key_or_knows_its_action_no_more() -> None:
    assert keys_of({"undo": "f", "gone": "j"}) == USUAL | {"undo": "f", "confirm_fraud": ""}
