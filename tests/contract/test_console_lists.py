"""The console's API of lists, over a store in a folder: who may, what is written down, what others see of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from adapters.policy.source import PolicySource, PolicyStore, policy_files
from console.access import Access
from console.api import build_app
from console.routes.lists import lists_router
from console.services.lists import ListPart
from console.services.policy import PolicyNow
from fraud.decision.policy.compiler import compile_policy
from fraud.settings import Aws
from operations.lists import ListDesk
from tests.support.browsers import PASSWORD
from tests.support.consoles import DOOR, USERS
from tests.support.decisions import FIELDS, featured

POLICY = {"thresholds": {}, "lists": [{"name": "blocked", "kind": "block", "of": "card", "entries": ["tok-own"]}]}


@dataclass
class Lists:
    """The API, its audit log, and a program that decides by the same lists."""

    app: Any
    audit: list[tuple[str, str, str]]
    deciding: PolicySource

    def client(self, name: str) -> TestClient:
        client = TestClient(self.app, raise_server_exceptions=False)
        client.headers["x-csrf-token"] = client.post("/api/session", json={"name": name, "password": PASSWORD}).json()[
            "csrf"
        ]
        return client


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY))
    files, other = policy_files(str(file), Aws()), policy_files(str(file), Aws())
    audit: list[tuple[str, str, str]] = []

    def note(*entry: str) -> None:
        audit.append((entry[0], entry[1], entry[2]))

    assert files.lists is not None
    desk = ListDesk(files.lists, PolicyNow(PolicyStore(files), lambda bundle: compile_policy(bundle, FIELDS)))
    part = lists_router(ListPart(desk, note))
    app = build_app(Access(lambda: USERS, lambda: 1000.0), [], {}, door=DOOR, audit=note, parts=[part])
    return Lists(app, audit, PolicySource(other, lambda bundle: compile_policy(bundle, FIELDS)))


def test_a_lead_blocks_a_card_and_the_next_decision_knows_it(lists: Lists) -> None:
    batch = featured({"card_token": "tok-1"}, {"card_token": "tok-own"})
    assert lists.deciding.current.find(batch).listed.tolist() == [[False, True]]
    given = {"entries": [{"value": "tok-1", "expires": "2099-01-01", "note": "n"}], "why": "case 7"}
    done = lists.client("lead").post("/api/lists/blocked/entries", json=given)
    assert done.status_code == 200
    assert (done.json()["added"], done.json()["taken_over"]) == (1, 1)
    assert lists.deciding.refresh_lists().find(batch).listed.tolist() == [[True, True]]
    assert lists.audit == [("lead", "list entries added", f"blocked {done.json()['version']}")]

    analyst = lists.client("analyst")
    page = analyst.get("/api/lists/blocked", params={"limit": 1}).json()
    assert (page["size"], page["next"], page["entries"][0]["value"]) == (2, "tok-1", "tok-1")
    assert (page["entries"][0]["by"], page["entries"][0]["why"]) == ("lead", "case 7")
    rest = analyst.get("/api/lists/blocked", params={"after": "tok-1"}).json()
    assert ([entry["value"] for entry in rest["entries"]], rest["next"]) == (["tok-own"], None)
    assert ("analyst", "read", "list blocked") in lists.audit
    assert "tok-1" not in str(lists.audit)


def test_a_list_is_made_imported_exported_and_deleted(lists: Lists) -> None:
    lead = lists.client("lead")
    assert lead.post("/api/lists", json={"name": "nets", "kind": "watch", "of": "ip"}).status_code == 201
    text = "value,note\n10.0.0.0/8,inner\n192.0.2.1,\n"
    assert lead.post("/api/lists/nets/imports", json={"text": text}).json()["added"] == 2
    exported = lead.get("/api/lists/nets/export")
    assert exported.headers["content-type"].startswith("text/csv")
    assert exported.text == "value,expires,note\n10.0.0.0/8,,inner\n192.0.2.1,,\n"
    replaced = lead.post("/api/lists/nets/imports", json={"text": "value\n192.0.2.1\n", "replace": True})
    assert (replaced.json()["removed"], replaced.json()["replaced"]) == (1, 1)
    removed = lead.post("/api/lists/nets/removals", json={"values": ["192.0.2.1"], "why": "a mistake"})
    assert removed.json()["removed"] == 1
    history = lead.get("/api/lists/nets/history").json()["changes"]
    assert [change["why"] for change in history] == ["a mistake", "", "", "", ""]
    assert {each["name"]: each["in"] for each in lead.get("/api/lists").json()["lists"]} == {
        "blocked": "policy",
        "nets": "store",
    }
    assert lead.delete("/api/lists/nets").status_code == 200
    assert lead.get("/api/lists/nets").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("blocked/entries", {"entries": [{"value": "4111111111111111"}]}, 422, "entry 1: is a card number"),
        ("blocked/entries", {"entries": [{"value": "tok-1", "expires": "soon"}]}, 422, "'soon' is no time"),
        ("blocked/entries", {"entries": []}, 422, "entries"),
        ("blocked/imports", {"text": "value\ntok-1\ntok 2\n"}, 422, "text: line 3: 'tok 2' is no card_token"),
        ("blocked/removals", {"values": ["tok-1"]}, 422, "none of the 1 values is on it"),
        ("none/entries", {"entries": [{"value": "tok-1"}]}, 404, "there is no list none"),
    ],
)
def test_what_is_refused_changes_nothing_and_says_why(
    lists: Lists, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    answer = lists.client("lead").post(f"/api/lists/{path}", json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert "4111111111111111" not in answer.text
    assert lists.deciding.refresh_lists().bundle.lists.version == ""
    assert lists.audit == []


def test_only_leads_change_and_only_analysts_read_entries(lists: Lists) -> None:
    body = {"entries": [{"value": "tok-1"}]}
    assert lists.client("analyst").post("/api/lists/blocked/entries", json=body).status_code == 403
    assert lists.client("analyst").delete("/api/lists/blocked").status_code == 403
    assert lists.client("viewer").get("/api/lists/blocked").status_code == 403
    assert lists.client("viewer").get("/api/lists").status_code == 200
