"""The team's figures and second looks over a real table, as the API gives them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.alerts.second_looks import SecondLooks
from adapters.objects.folder import FolderObjects
from console.access import Role
from console.pages import Page
from console.routes.team import looks_router, team_router
from console.services.background import Background
from console.services.team import TABLES, TeamDesk, looked_at_twice
from fraud.settings import Settings
from tests.support.consoles import Console
from tests.support.emulators import provisioned


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


class Team:
    """A console whose alerts are all decided twice."""

    def __init__(self, settings: Settings, table: str, folder: Path) -> None:
        made: list[Console] = []
        self.looks = SecondLooks(FolderObjects(folder))

        def now_ms() -> int:
            return made[0].ports.clock_ms()

        plain = Console(settings, table)
        self.desk = TeamDesk(plain.table, self.looks, Background(now_ms), now_ms, plain._note, 30 * 60_000, 1.0)
        pages = [
            Page("second-looks", "Second look", Role.ANALYST, looks_router(self.desk)),
            Page("team", "Team", Role.LEAD, team_router(self.desk)),
        ]
        self.console = Console(settings, table, *pages)
        made.append(self.console)
        self.audit = plain.audit

    def change(self, client: TestClient, key: str, change: str, **more: Any) -> None:
        version = client.get("/api/alerts/one", params={"key": key}).json()["version"]
        answer = client.post("/api/alerts/change", json={"key": key, "version": version, "change": change, **more})
        assert answer.status_code == 200, answer.text


def test_share_of_alerts_that_are_decided_twice_follows_from_their_keys() -> None:
    keys = [f"{n:040d}".translate(str.maketrans("0123456789", "abcdefghij")) for n in range(2_000)]
    twice = sum(looked_at_twice(key, 0.1) for key in keys)
    assert 150 < twice < 250
    assert all(looked_at_twice(key, 0.5) for key in keys if looked_at_twice(key, 0.1))


def test_lead_sees_and_exports_what_the_team_did(settings: Settings, tmp_path: Path) -> None:
    team = Team(settings, "alerts-team", tmp_path)
    keys = [team.console.alert(f"t{n}", score=0.3 if n else 0.95) for n in range(3)]
    analyst, lead = team.console.client("analyst"), team.console.client("lead")
    team.change(analyst, keys[0], "assign")
    team.change(analyst, keys[0], "confirm_fraud")
    team.change(lead, keys[1], "false_positive")
    found = team.desk.measure(7)
    assert [(row["analyst"], row["fraud"], row["legitimate"]) for row in found["analysts"]] == [
        ("analyst", 1, 0),
        ("lead", 0, 1),
    ]
    assert [row["waiting"] for row in found["queues"]] == [1]
    assert [(row["band"], row["false_positives"]) for row in found["bands"]] == [("0.2 to 0.4", 1), ("0.9 to 1", 0)]
    assert lead.get("/api/team", params={"days": 7}).json()["kind"] == "team 7"
    for table, columns in TABLES.items():
        text = lead.get(f"/api/team/export/{table}").text
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0] == list(columns)
        assert len(rows) == 1 + len(found[table])
    assert lead.get("/api/team/export/nothing").status_code == 422


def test_a_second_look_is_blind_goes_to_another_and_counts_once(settings: Settings, tmp_path: Path) -> None:
    team = Team(settings, "alerts-twice", tmp_path)
    key = team.console.alert("twice")
    analyst, lead, admin = (team.console.client(name) for name in ("analyst", "lead", "admin"))
    assert lead.get("/api/second-looks").json() == {"due": 0, "alert": None}
    team.change(analyst, key, "confirm_fraud", note="the holder said so")
    assert analyst.get("/api/second-looks").json()["due"] == 0
    said = {"key": key, "verdict": "legitimate"}
    assert analyst.post("/api/second-looks", json=said).status_code == 409
    offered = lead.get("/api/second-looks")
    assert offered.json()["alert"]["key"] == key
    assert not {"status", "assignee", "history", "version", "label_pending"} & offered.json()["alert"].keys()
    assert "confirm" not in offered.text
    assert "the holder said so" not in offered.text
    assert lead.post("/api/second-looks", json=said).status_code == 204
    assert admin.post("/api/second-looks", json=said).status_code == 409
    assert lead.get("/api/second-looks").json()["due"] == 0
    assert lead.post("/api/second-looks", json={**said, "key": "a" * 40}).status_code == 404
    assert team.audit == [("lead", "second look", key)]
    found = team.desk.measure(7)
    assert (found["agreement"]["pairs"], found["agreement"]["agreed"], found["due"]) == (1, 0, 0)
    assert found["disagreements"] == [
        {"key": key, "first_by": "analyst", "first": "fraud", "second_by": "lead", "second": "legitimate"}
    ]
    item = team.console.table.get(key)
    assert item is not None
    assert item["status"] == "confirmed_fraud"
