"""The console's API on a real table and a real labels stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from console.access import Access, Role
from console.api import build_app
from console.guard import Reader
from console.pages import Page
from fraud.settings import Settings
from tests.support.browsers import PASSWORD
from tests.support.consoles import USERS, Console
from tests.support.stand_ins import provisioned

INJECTION = "<script>alert(1)</script>'\";--${7*7}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as located:
        yield located


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
    alert = console.alert("t-text", reasons=[INJECTION])
    client = console.client("analyst")
    assert change(client, alert, change="escalate", note=INJECTION) == 204
    (shown,) = client.get("/api/alerts", params={"status": "escalated"}).json()
    assert shown["notes"] == [f"analyst: {INJECTION}"]
    assert shown["reasons"] == [INJECTION]
    assert client.get(f"/api/alerts/{INJECTION.replace('/', '')}").status_code == 404


def test_session_cookie_is_hidden_from_scripts_and_other_sites(console: Console) -> None:
    answer = TestClient(console.app).post("/api/session", json={"name": "admin", "password": PASSWORD})
    assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().replace(";", "").split())


def test_document_and_scripts_have_a_policy_without_exceptions(console: Console) -> None:
    client = TestClient(console.app)
    for path in ["/", "/queue", "/static/shell.js", "/static/pages/queue.js"]:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert not {"innerHTML", "insertAdjacentHTML", "document.write"} & set(answer.text.replace("(", ".").split("."))
    for path in ["/nothing", "/static/../api.py", "/static/%2e%2e/api.py", "/static/pages/none.js"]:
        assert client.get(path).status_code == 404


def test_unchanged_answer_is_not_sent_again(console: Console) -> None:
    console.alert("t-etag")
    client = console.client("analyst")
    first = client.get("/api/alerts")
    tag = {"if-none-match": first.headers["etag"]}
    assert client.get("/api/alerts", headers=tag).status_code == 304
    console.alert("t-etag-2")
    assert client.get("/api/alerts", headers=tag).status_code == 200


def test_shell_learns_which_pages_a_role_may_use(console: Console) -> None:
    admins = Page("secret", "Secret", Role.ADMIN, APIRouter(prefix="/secret"))

    @admins.router.get("")
    def secret(_: Reader) -> str:
        return "told"

    console.app = build_app(Access(USERS, lambda: 1000.0), [admins], {}, secure=False)
    assert console.client("admin").get("/api/session").json()["pages"] == [{"name": "secret", "title": "Secret"}]
    assert console.client("admin").get("/api/secret").json() == "told"
    assert console.client("lead").get("/api/session").json()["pages"] == []
    assert console.client("lead").get("/api/secret").status_code == 403
    assert TestClient(console.app).get("/api/secret").status_code == 401
