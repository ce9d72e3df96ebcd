"""The console's API on a real table and a real labels stream."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from console.access import Access, Role, User
from console.api import build_app
from console.guard import Reader
from console.pages import Page
from fraud.settings import Settings
from ml_model.predict import InProcessScorer
from tests.support.browsers import PASSWORD
from tests.support.consoles import USERS, Console
from tests.support.records import NOON
from tests.support.stand_ins import provisioned

INJECTION = "<script>alert(1)</script>'\";--${7*7}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with provisioned(tmp_path_factory.mktemp("stand-in")) as located:
        yield located


@pytest.fixture
def console(settings: Settings, request: pytest.FixtureRequest) -> Console:
    return Console(settings, f"alerts-{abs(hash(request.node.name))}")


def change(client: TestClient, transaction: str, **fields: Any) -> int:
    body = {"transaction_id": transaction, "version": 1, "change": "confirm_fraud"} | fields
    return client.post("/api/alerts/change", json=body).status_code


def waiting(client: TestClient, **filters: Any) -> list[str]:
    """Transactions of the queue's page."""
    answer = client.get("/api/alerts", params=filters)
    assert answer.status_code == 200, answer.text
    return [alert["transaction_id"] for alert in answer.json()["alerts"]]


@pytest.mark.parametrize(("role", "changed"), [("viewer", 403), ("analyst", 200), ("lead", 200), ("admin", 200)])
def test_role_decides_on_changes_and_on_card_tokens(console: Console, role: str, changed: int) -> None:
    console.alert("t-1", reasons=["card token-of-card-1234 is on the list blocked"])
    console.queue.reload()
    client = console.client(role)
    for path in ("/api/alerts", "/api/alerts/one?transaction_id=t-1"):
        assert ("token-of-card" in client.get(path).text) == (role != "viewer")
    assert waiting(client, search="token-of-card-1234") == ([] if role == "viewer" else ["t-1"])
    assert change(client, "t-1", change="assign") == changed


def test_change_without_the_csrf_token_is_refused(console: Console) -> None:
    console.alert("t-csrf")
    client = console.client("analyst")
    client.headers["x-csrf-token"] = "wrong"
    assert change(client, "t-csrf") == 403
    assert console.table.newest().items[0]["status"] == "open"


def test_of_two_analysts_one_disposes_and_one_label_is_written(console: Console) -> None:
    console.alert("t-two")
    ann, bob = console.client("analyst"), console.client("lead")
    assert change(ann, "t-two") == 200
    assert change(bob, "t-two", change="false_positive") == 409
    assert change(ann, "t-two", version=2) == 409
    (label,) = console.labels("t-two")
    assert (label["verdict"], label["source"], label["card_token"]) == ("fraud", "disposition", "token-of-card-1234")
    assert console.audit == [("analyst", "confirm_fraud", "t-two")]


def test_label_that_could_not_be_written_follows_once(console: Console) -> None:
    key = console.alert("t-later")
    console.fail_labels = True
    client = console.client("analyst")
    assert change(client, "t-later") == 200
    assert console.labels("t-later") == []
    assert "label_pending" in client.get("/api/alerts/one?transaction_id=t-later").json()
    console.fail_labels = False
    assert console.desk.deliver() == 0, "whoever closed it may still be writing"
    closed_at = console.now
    console.now += dt.timedelta(minutes=1)
    assert [console.desk.deliver(), console.desk.deliver()] == [1, 0]
    (label,) = console.labels("t-later")
    assert dt.datetime.fromisoformat(label["label_time"]) == closed_at
    stored = console.table.get(key)
    assert stored is not None
    assert (stored["status"], "label_pending" in stored) == ("confirmed_fraud", False)
    assert client.get("/api/alerts/closed?status=confirmed_fraud").json()["alerts"][0]["transaction_id"] == "t-later"


def test_crash_between_closing_and_labelling_loses_nothing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    console.alert("t-crash")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "_labels", SimpleNamespace(write=crash))
    with pytest.raises(KeyboardInterrupt):
        console.desk.change(User("ann", Role.ANALYST), "t-crash", 1, "false_positive")
    monkeypatch.undo()
    console.now += dt.timedelta(minutes=1)
    assert console.desk.deliver() == 1
    assert [label["verdict"] for label in console.labels("t-crash")] == ["legitimate"]


def test_every_change_is_in_the_history_with_who_and_when(console: Console) -> None:
    console.alert("t-history")
    ann, bob = console.client("analyst"), console.client("lead")
    assert change(ann, "t-history", change="assign") == 200
    assert change(bob, "t-history", change="note", version=2, note="called") == 200
    assert change(bob, "t-history", change="escalate", version=3) == 200
    assert change(ann, "t-history", version=4) == 200
    assert change(ann, "t-history", change="note", version=5, note="refunded") == 200, "notes go on after closing"
    told = bob.get("/api/alerts/one?transaction_id=t-history").json()
    at_ms = int(console.now.timestamp() * 1000)
    assert told["history"] == [
        {"at_ms": at_ms, "by": "analyst", "change": "assign"},
        {"at_ms": at_ms, "by": "lead", "change": "note", "note": "called"},
        {"at_ms": at_ms, "by": "lead", "change": "escalate"},
        {"at_ms": at_ms, "by": "analyst", "change": "confirm_fraud"},
        {"at_ms": at_ms, "by": "analyst", "change": "note", "note": "refunded"},
    ]
    assert (told["status"], told["assignee"], told["version"]) == ("confirmed_fraud", "analyst", 6)


def test_bulk_change_tells_of_each_alert(console: Console) -> None:
    for name in ("t-1", "t-2", "t-3"):
        console.alert(name)
    assert change(console.client("lead"), "t-2", change="assign") == 200
    body = {"alerts": [{"transaction_id": f"t-{n}", "version": 1} for n in range(1, 5)], "change": "false_positive"}
    answer = console.client("analyst").post("/api/alerts/changes", json=body)
    assert answer.json() == [
        {"transaction_id": "t-1", "refused": None},
        {"transaction_id": "t-2", "refused": "lead changed this alert since you saw it; look again"},
        {"transaction_id": "t-3", "refused": None},
        {"transaction_id": "t-4", "refused": "there is no alert on this transaction"},
    ]


def test_queue_is_filtered_and_ordered(console: Console) -> None:
    minute = dt.timedelta(minutes=1)
    console.alert("a", decided_at=NOON, severity=90, score=0.9, billing_amount_minor=100, merchant_country="FR")
    console.alert(
        "b", decided_at=NOON + minute, severity=10, score=None, outcome="decline", channel="moto", rules=["x"]
    )
    console.alert("c", decided_at=NOON + 2 * minute, severity=90, score=0.95, merchant_id="shop", rules=["x", "y"])
    console.queue.reload()
    client = console.client("analyst")
    assert waiting(client) == ["c", "b", "a"]
    assert waiting(client, order="riskiest") == ["c", "a", "b"]
    assert waiting(client, order="oldest") == ["a", "b", "c"]
    for filters, found in [
        ({"outcome": "decline"}, ["b"]),
        ({"least_score": 0.91}, ["c"]),
        ({"most_minor": 100}, ["a"]),
        ({"least_minor": 101}, ["c", "b"]),
        ({"country": "FR"}, ["a"]),
        ({"channel": ["moto", "atm"]}, ["b"]),
        ({"rule": "x"}, ["c", "b"]),
        ({"rule": "y"}, ["c"]),
        ({"older_than_minutes": 59}, ["b", "a"]),
        ({"search": "shop"}, ["c"]),
        ({"assignee": ""}, ["c", "b", "a"]),
        ({"assignee": "analyst"}, []),
        ({"status": "escalated"}, []),
    ]:
        assert waiting(client, **filters) == found, filters  # type: ignore[arg-type]
    facets = client.get("/api/alerts/facets").json()
    assert facets["rule"] == {"r1": 1, "x": 2, "y": 1}
    assert facets["country"] == {"DE": 2, "FR": 1}


@pytest.mark.parametrize("order", ["newest", "riskiest", "oldest"])
def test_pages_of_the_queue_tell_every_alert_once_though_some_are_closed(console: Console, order: str) -> None:
    for number in range(30):
        at = NOON + dt.timedelta(seconds=number // 4)
        console.alert(f"t-{number:02d}", decided_at=at, severity=number % 3, score=None if number % 5 else 0.5)
    console.queue.reload()
    client = console.client("analyst")
    seen: list[str] = []
    place: dict[str, str] = {}
    while True:
        told = client.get("/api/alerts", params={"order": order, "limit": "7"} | place).json()
        seen += [alert["transaction_id"] for alert in told["alerts"]]
        if told["cursor"] is None:
            break
        place = {"cursor": told["cursor"]}
        assert change(client, seen[-1]) == 200
    assert sorted(seen) == [f"t-{number:02d}" for number in range(30)]
    assert client.get("/api/alerts", params={"order": order, "cursor": "bm9uZQ"}).status_code == 400


def test_queue_shows_what_another_console_did(console: Console, settings: Settings) -> None:
    console.alert("t-1")
    console.alert("t-2")
    console.queue.reload()
    other = Console(settings, console.settings.alerts.table)
    other.queue.reload()
    assert change(other.client("lead"), "t-1") == 200
    assert waiting(console.client("analyst")) == ["t-2"]
    console.alert("t-3")
    console.queue.refresh()
    assert sorted(waiting(console.client("analyst"))) == ["t-2", "t-3"]


def test_case_tells_of_card_merchant_and_linked_cases(console: Console) -> None:
    hour = dt.timedelta(hours=1)
    common = {"card_token": "token-of-card-1234", "merchant_id": "m<1>", "device_id": "d-1"}
    here = common | {"merchant_lat": 52.5, "merchant_lon": 13.4}
    other = {"card_token": "card-2", "device_id": "d-1", "merchant_id": "m-2"}
    near = {"card_token": "card-3", "merchant_id": "m<1>"}
    console.archived(
        common | {"transaction_id": "t-old", "event_time": NOON - 24 * hour, "outcome": "approve"},
        here | {"transaction_id": "t-1"},
        other | {"transaction_id": "t-device"},
        near | {"transaction_id": "t-merchant"},
    )
    console.alert("t-1", **here)
    console.alert("t-device", **other)
    console.alert("t-merchant", **near)
    console.alert("t-new", event_time=NOON + hour, decided_at=NOON + hour)  # not in the archive yet
    client = console.client("analyst")
    asked = {"transaction_id": "t-1"}
    card = client.get("/api/cases/card", params=asked).json()
    assert [(one["transaction_id"], one["status"]) for one in card["payments"]] == [
        ("t-new", "open"),
        ("t-1", "open"),
        ("t-old", None),
    ]
    assert (card["payments"][1]["merchant_lat"], card["complete"]) == (52.5, True)
    merchant = client.get("/api/cases/merchant", params=asked).json()
    assert (merchant["payments"], merchant["cards"], merchant["alerts"]) == (3, 2, 2)
    assert [(day["payments"], day["alerts"]) for day in merchant["days"]] == [(1, 0), (2, 2)]
    linked = client.get("/api/cases/linked", params=asked).json()
    found = {kind: [one["transaction_id"] for one in items] for kind, items in linked.items()}
    assert found == {"card": ["t-new"], "device": ["t-device"], "merchant": ["t-merchant"]}
    for part in ("one", "card", "merchant", "linked", "contributions"):
        answer = console.client("viewer").get(f"/api/cases/{part}", params=asked)
        assert answer.status_code == 200
        assert "token-of-card" not in answer.text
        assert client.get(f"/api/cases/{part}", params={"transaction_id": "none"}).status_code == 404


def test_case_explains_the_score_by_the_model_that_gave_it(console: Console) -> None:
    scorer = InProcessScorer.load(Path(__file__).parents[2] / "config" / "model" / "champion")
    version = scorer.model_version
    assert version is not None
    client = console.client("analyst")

    def contributions(transaction_id: str) -> Any:
        return client.get("/api/cases/contributions", params={"transaction_id": transaction_id}).json()

    console.alert("t-1", model_version=version)
    console.alert("t-2", model_version="another", transaction_id="t-2")
    console.alert("t-3", model_version=None)
    assert contributions("t-1")["missing"] == "archive"
    card = {"card_token": "token-of-card-1234", "model_version": version}
    rows = [card | {"transaction_id": f"t-{number}"} for number in range(3)]
    console.archived(*rows, features=scorer.description.features)
    assert contributions("t-1")["missing"] == "model"
    console.models[version] = scorer
    told = contributions("t-1")
    assert (told["model_version"], told["missing"]) == (version, None)
    shares = [one["log_odds"] for one in told["contributions"]]
    assert len(shares) > 3
    assert shares == sorted(shares, reverse=True)
    assert contributions("t-2")["missing"] == "model"
    assert contributions("t-3")["missing"] == "rules"


def test_hostile_text_is_data(console: Console) -> None:
    console.alert("t-text", reasons=[INJECTION], merchant_id=INJECTION, device_id=INJECTION, rules=[INJECTION])
    console.queue.reload()
    client = console.client("analyst")
    assert change(client, "t-text", change="escalate", note=INJECTION) == 200
    for field in ("search", "rule", "assignee", "outcome", "country", "channel"):
        waiting(client, **{field: INJECTION})
    assert waiting(client, search=INJECTION, rule=INJECTION) == ["t-text"]
    told = client.get("/api/alerts/one", params={"transaction_id": "t-text"}).json()
    assert (told["history"][0]["note"], told["reasons"], told["merchant_id"]) == (INJECTION, [INJECTION], INJECTION)
    assert client.get("/api/alerts/one", params={"transaction_id": INJECTION}).status_code == 404
    assert client.post("/api/session", json={"name": INJECTION, "password": INJECTION}).status_code == 401


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
    console.queue.reload()
    client = console.client("analyst")
    first = client.get("/api/alerts")
    tag = {"if-none-match": first.headers["etag"]}
    assert client.get("/api/alerts", headers=tag).status_code == 304
    console.alert("t-etag-2")
    console.queue.refresh()
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
