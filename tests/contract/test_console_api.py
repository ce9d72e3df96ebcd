"""The console's API on a real table and a real labels stream."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.alerts import AlertTable
from adapters.provision import provision
from adapters.stream_writer import KinesisWriter, StreamRecord
from console.access import Access, Role, hash_password
from console.api import build_app
from console.services.alerts import AlertDesk
from embedded.chaos.oracle import read_stream
from fraud.alert import alert_item
from fraud.settings import Alerts, Settings
from tests.support.records import NOON, transaction
from tests.support.stand_ins import provisioned

INJECTION = "<script>alert(1)</script>'\";--${7*7}"
PASSWORD = "a password for tests"
VERDICT: dict[str, Any] = {
    "outcome": "review",
    "severity": 40,
    "score": 0.5,
    "scored_by": "in_process",
    "model_version": "m1",
    "policy_version": "p1",
    "rules": ["r1"],
    "reason_codes": ["r1"],
    "reasons": [INJECTION],
    "decided_at": NOON,
    "device_id": None,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as located:
        yield located


class Console:
    """The application on a table of its own, and what it did."""

    def __init__(self, settings: Settings, table: str) -> None:
        self.settings = settings.model_copy(update={"alerts": Alerts(table=table)})
        provision(self.settings)
        self.table = AlertTable(self.settings)
        self.audit: list[tuple[str, str, str]] = []
        self.fail_labels = False
        self._labels = KinesisWriter(settings.streams.labels, settings.aws)
        users = {role.name.lower(): (role, hash_password(PASSWORD)) for role in Role}
        desk = AlertDesk(self.table, self._write, lambda: NOON + dt.timedelta(hours=1), self._note)
        self.app = build_app(Access(users, lambda: 1000.0), desk, secure=False)

    def _write(self, key: str, data: bytes) -> None:
        if self.fail_labels:
            raise ConnectionError("scripted")
        self._labels.write([StreamRecord(key, data)])

    def _note(self, *entry: str) -> None:
        self.audit.append((entry[0], entry[1], entry[2]))

    def alert(self, name: str) -> str:
        item = alert_item(
            transaction(transaction_id=name, card_token="token-of-card-1234", merchant_id="m<1>") | VERDICT, {}, 400
        )
        self.table.put_new([item])
        return str(item["alert_id"])

    def client(self, name: str) -> TestClient:
        client = TestClient(self.app, raise_server_exceptions=False)
        answer = client.post("/api/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        return client

    def labels(self, transaction_id: str) -> list[dict[str, Any]]:
        stream = read_stream(self.settings, self.settings.streams.labels)
        found = [json.loads(data) for data in stream["data"].to_pylist()]
        return [label for label in found if label["transaction_id"] == transaction_id]


@pytest.fixture
def console(settings: Settings, request: pytest.FixtureRequest) -> Console:
    return Console(settings, f"alerts-{abs(hash(request.node.name))}")


def change(client: TestClient, alert: str, **fields: Any) -> int:
    body = {"version": 1, "change": "confirm_fraud"} | fields
    return client.post(f"/api/alerts/{alert}/changes", json=body).status_code


def test_nothing_is_told_without_signing_in(console: Console) -> None:
    alert = console.alert("t-1")
    client = TestClient(console.app)
    assert client.get("/api/alerts").status_code == 401
    assert client.get(f"/api/alerts/{alert}").status_code == 401
    assert client.get("/api/session").status_code == 401
    assert client.delete("/api/session").status_code == 401
    assert change(client, alert) == 401
    assert client.post("/api/session", json={"name": "lead", "password": "wrong"}).status_code == 401


@pytest.mark.parametrize(("role", "changed"), [("viewer", 403), ("analyst", 204), ("lead", 204), ("admin", 204)])
def test_role_decides_on_changes_and_on_card_tokens(console: Console, role: str, changed: int) -> None:
    alert = console.alert(f"t-{role}")
    client = console.client(role)
    answer = client.get("/api/alerts")
    assert answer.status_code == 200
    assert ("token-of-card" in answer.text) == (role != "viewer")
    assert change(client, alert, change="assign") == changed


def test_change_without_the_csrf_token_is_refused(console: Console) -> None:
    alert = console.alert("t-csrf")
    client = console.client("analyst")
    client.headers["x-csrf-token"] = "wrong"
    assert change(client, alert) == 403
    assert console.table.newest().items[0]["status"] == "open"


def test_of_two_analysts_one_disposes_and_one_label_is_written(console: Console) -> None:
    alert = console.alert("t-two")
    ann, bob = console.client("analyst"), console.client("lead")
    assert change(ann, alert) == 204
    assert change(bob, alert, change="false_positive") == 409
    assert change(ann, alert, version=2) == 409
    (label,) = console.labels("t-two")
    assert (label["verdict"], label["source"], label["card_token"]) == ("fraud", "disposition", "token-of-card-1234")
    assert console.audit == [("analyst", "confirm_fraud", alert)]


def test_alert_stays_open_when_its_label_cannot_be_written(console: Console) -> None:
    alert = console.alert("t-fail")
    console.fail_labels = True
    assert change(console.client("analyst"), alert) == 500
    standing = console.table.get(alert)
    assert standing is not None
    assert standing["status"] == "open"
    assert console.audit == []


def test_hostile_text_is_data(console: Console) -> None:
    alert = console.alert("t-text")
    client = console.client("analyst")
    assert change(client, alert, change="escalate", note=INJECTION) == 204
    (shown,) = client.get("/api/alerts", params={"status": "escalated"}).json()
    assert shown["notes"] == [f"analyst: {INJECTION}"]
    assert shown["reasons"] == [INJECTION]
    page = client.get("/")
    assert "'unsafe" not in page.headers["content-security-policy"]
    assert "innerHTML" not in client.get("/queue.js").text
    assert client.get("/queue.py").status_code == 404
    assert client.get(f"/api/alerts/{INJECTION.replace('/', '')}").status_code == 404


def test_session_cookie_is_hidden_from_scripts_and_other_sites(console: Console) -> None:
    answer = TestClient(console.app).post("/api/session", json={"name": "admin", "password": PASSWORD})
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().replace(";", "").split())
