"""Work handed on, put off, marked and classified: what the table has afterwards, and what the queue shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fraud.settings import Settings
from tests.support.consoles import Console
from tests.support.emulators import provisioned


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def console(settings: Settings, request: pytest.FixtureRequest) -> Console:
    return Console(settings, f"flow-{abs(hash(request.node.name))}")


def change(client: TestClient, key: str, version: int, kind: str, **details: Any) -> dict[str, Any]:
    body = {"key": key, "version": version, "change": kind} | details
    answer = client.post("/api/alerts/change", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def waiting(client: TestClient, **filters: Any) -> list[str]:
    found = client.get("/api/alerts/cases", params=filters).json()["cases"]
    return [case["lead"]["transaction_id"] for case in found]


def test_an_alert_is_handed_to_a_colleague_and_an_undone_verdict_gives_it_back(settings: Settings) -> None:
    console = Console(settings, "flow-assign", undo_s=10)
    key, lead, analyst = console.alert("t-1"), console.client("lead"), console.client("analyst")
    console.queue.reload()
    assert lead.get("/api/alerts/colleagues").json() == ["admin", "analyst", "lead"]
    refused = {"key": key, "version": 1, "change": "assign", "to": "viewer"}
    assert lead.post("/api/alerts/change", json=refused).status_code == 409
    after = change(lead, key, 1, "assign", to="analyst")
    assert (after["assignee"], after["history"][-1]["by"], after["history"][-1]["to"]) == ("analyst", "lead", "analyst")
    assert waiting(analyst, assignee="analyst") == ["t-1"]
    change(lead, key, 2, "confirm_fraud", fraud_type="stolen")
    after = change(lead, key, 3, "undo")
    assert (after["assignee"], "fraud_type" in after) == ("analyst", False)
    bulk = {"alerts": [{"key": key, "version": 4}], "change": "assign", "to": "admin"}
    assert lead.post("/api/alerts/changes", json=bulk).json()["results"] == [{"key": key, "refused": None}]


def test_a_snoozed_alert_leaves_the_queue_until_its_time_or_until_somebody_takes_it(console: Console) -> None:
    key, client = console.alert("t-1"), console.client("analyst")
    console.alert("t-2", card_token="card-2")
    console.queue.reload()
    until = console.now + dt.timedelta(hours=4)
    change(client, key, 1, "snooze", minutes=240)
    assert (waiting(client), waiting(client, snoozed=True)) == (["t-2"], ["t-1"])
    console.queue.reload()
    assert waiting(client) == ["t-2"]
    console.now = until
    assert sorted(waiting(client)) == ["t-1", "t-2"]
    console.now -= dt.timedelta(hours=1)
    taken = change(client, key, 2, "assign")
    assert "snoozed_until_ms" not in taken
    assert sorted(waiting(client)) == ["t-1", "t-2"]


def test_tags_filter_the_queue_and_stay_with_a_closed_alert_and_its_fraud_type(console: Console) -> None:
    key, client = console.alert("t-1"), console.client("analyst")
    console.alert("t-2", card_token="card-2")
    console.queue.reload()
    assert change(client, key, 1, "tag", tags=["ring-7", "called", "ring-7"])["tags"] == ["ring-7", "called"]
    assert waiting(client, tag="ring-7") == ["t-1"]
    assert client.get("/api/alerts/facets").json()["tag"] == {"called": 1, "ring-7": 1}
    closed = change(client, key, 2, "confirm_fraud", fraud_type="account_takeover")
    assert (closed["fraud_type"], closed["history"][-1]["fraud_type"]) == ("account_takeover", "account_takeover")
    assert "tags" not in change(client, key, 3, "tag", tags=[])
    again = change(client, key, 4, "reopen", note="the customer called")
    assert "fraud_type" not in again


@pytest.mark.parametrize(
    "details",
    [
        {"change": "assign", "fraud_type": "stolen"},
        {"change": "tag", "tags": ["Not a tag"]},
        {"change": "tag", "tags": [f"t-{n}" for n in range(11)]},
        {"change": "confirm_fraud", "fraud_type": "unknown"},
        {"change": "escalate", "minutes": 1},
        {"change": "snooze", "minutes": 43_201},
        {"change": "snooze", "minutes": 0},
    ],
)
def test_what_does_not_belong_to_a_change_is_refused(console: Console, details: dict[str, Any]) -> None:
    key, client = console.alert("t-1"), console.client("analyst")
    body = {"key": key, "version": 1} | details
    assert client.post("/api/alerts/change", json=body).status_code == 422
    stored = console.table.get(key)
    assert stored is not None
    assert stored["version"] == 1
