"""The console's API on a real table and a real labels stream."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import APIRouter
from fastapi.testclient import TestClient

from adapters.alerts.alert import AlertUpdate
from adapters.archive.layout import policy_key
from console.access import Access, User
from console.api import build_app
from console.guard import Reader
from console.pages import Page
from console.services.grouping import CaseBy
from console.users import Role
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.declared import Declared
from fraud.documents import parse_yaml
from fraud.settings import Settings
from ml_model.predict import InProcessScorer
from tests.support.browsers import PASSWORD
from tests.support.consoles import DOOR, USERS, Console
from tests.support.emulators import provisioned
from tests.support.records import NOON

INJECTION = "<script>alert(1)</script>'\";--${7*7}"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def console(settings: Settings, request: pytest.FixtureRequest) -> Console:
    return Console(settings, f"alerts-{abs(hash(request.node.name))}")


def change(client: TestClient, key: str, **fields: Any) -> int:
    body = {"key": key, "version": 1, "change": "confirm_fraud"} | fields
    return client.post("/api/alerts/change", json=body).status_code


def waiting(client: TestClient, **filters: Any) -> list[str]:
    """Transactions of the queue's page."""
    answer = client.get("/api/alerts", params=filters)
    assert answer.status_code == 200, answer.text
    return [alert["transaction_id"] for alert in answer.json()["alerts"]]


@pytest.mark.parametrize(("role", "changed"), [("viewer", 403), ("analyst", 200), ("lead", 200), ("admin", 200)])
def test_role_decides_on_changes_and_on_card_tokens(console: Console, role: str, changed: int) -> None:
    key = console.alert("t-1", reasons=["card token-of-card-1234 is on the list blocked"])
    console.queue.reload()
    client = console.client(role)
    for path in ("/api/alerts", f"/api/alerts/one?key={key}", "/api/cases/find?transaction_id=t-1"):
        assert ("token-of-card" in client.get(path).text) == (role != "viewer")
    assert waiting(client, search="token-of-card-1234") == ([] if role == "viewer" else ["t-1"])
    assert change(client, key, change="assign") == changed


def test_change_without_the_csrf_token_is_refused(console: Console) -> None:
    key = console.alert("t-csrf")
    client = console.client("analyst")
    client.headers["x-csrf-token"] = "wrong"
    assert change(client, key) == 403
    assert console.table.newest().items[0]["status"] == "open"


def test_of_two_analysts_one_disposes_and_one_label_is_written(console: Console) -> None:
    key = console.alert("t-two")
    ann, bob = console.client("analyst"), console.client("lead")
    assert change(ann, key) == 200
    assert change(bob, key, change="false_positive") == 409
    assert change(ann, key, version=2) == 409
    (label,) = console.labels("t-two")
    assert (label["verdict"], label["source"], label["card_token"]) == ("fraud", "disposition", "token-of-card-1234")
    assert console.audit == [("analyst", "confirm_fraud", key)]


def test_label_that_could_not_be_written_follows_once(console: Console) -> None:
    key = console.alert("t-later")
    console.fail_labels = True
    client = console.client("analyst")
    assert change(client, key) == 200
    assert console.labels("t-later") == []
    assert change(client, key, change="note", version=2, note="a note") == 200
    assert "label_pending" in client.get(f"/api/alerts/one?key={key}").json()
    assert client.get("/api/alerts/closed?status=confirmed_fraud").json()["alerts"][0]["transaction_id"] == "t-later"
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


def test_a_label_that_our_decoder_refuses_is_written_and_holds_up_no_other(console: Console) -> None:
    console.fail_labels = True
    client = console.client("analyst")
    for key in (console.alert("t-odd", merchant_id="no merchant's id"), console.alert("t-usual")):
        assert change(client, key) == 200
    console.fail_labels = False
    console.now += dt.timedelta(minutes=1)
    assert console.desk.deliver() == 2
    assert [len(console.labels(name)) for name in ("t-odd", "t-usual")] == [1, 1]


def test_crash_between_closing_and_labelling_loses_nothing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    key = console.alert("t-crash")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "write_label", crash)
    with pytest.raises(KeyboardInterrupt):
        console.desk.change(User("ann", Role.ANALYST), key, 1, "false_positive")
    monkeypatch.undo()
    console.now += dt.timedelta(minutes=1)
    assert console.desk.deliver() == 1
    assert [label["verdict"] for label in console.labels("t-crash")] == ["legitimate"]


def closed(console: Console, name: str, **fields: Any) -> tuple[TestClient, str]:
    """An analyst's client, and the key of an alert that the analyst has confirmed as fraud."""
    key, client = console.alert(name), console.client("analyst")
    assert change(client, key, **fields) == 200
    return client, key


def read(client: TestClient, key: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/alerts/one", params={"key": key}).json()
    return found


def test_a_verdict_that_is_undone_was_never_said(settings: Settings) -> None:
    console = Console(settings, "alerts-undo", undo_s=10)
    key, client = console.alert("t-undo"), console.client("analyst")
    assert change(client, key, change="escalate") == 200
    assert change(client, key, version=2) == 200
    assert change(console.client("lead"), key, version=3, change="undo") == 409, "another's verdict"
    console.now += dt.timedelta(seconds=9)
    assert console.desk.deliver() == 0
    assert change(client, key, version=3, change="undo") == 200
    after = read(client, key)
    assert (after["status"], "assignee" in after, "label_pending" in after) == ("escalated", False, False)
    assert waiting(client) == ["t-undo"]
    console.now += dt.timedelta(minutes=1)
    assert (console.desk.deliver(), console.labels("t-undo")) == (0, [])
    assert change(client, key, version=4, change="false_positive") == 200
    console.now += dt.timedelta(seconds=11)
    assert console.desk.deliver() == 1
    assert change(client, key, version=5, change="undo") == 409, "too late"
    assert [label["verdict"] for label in console.labels("t-undo")] == ["legitimate"]


def test_a_reopened_alert_waits_again_and_its_label_is_withdrawn_and_corrected(console: Console) -> None:
    client, key = closed(console, "t-back")
    other = console.client("lead")
    assert change(other, key, version=2, change="reopen") == 409, "without a reason"
    assert change(other, key, version=2, change="reopen", note="the customer remembers it") == 200
    after = read(client, key)
    assert (after["status"], after["assignee"], after["history"][-1]["note"]) == (
        "open",
        "lead",
        "the customer remembers it",
    )
    assert waiting(client) == ["t-back"]
    assert change(other, key, version=3, change="false_positive") == 200
    assert [label["verdict"] for label in console.labels("t-back")] == ["fraud", "withdrawn", "legitimate"]
    assert console.audit[-2:] == [("lead", "reopen", key), ("lead", "false_positive", key)]
    for wrong in ("undo", "reopen"):
        assert change(client, console.alert("t-open"), change=wrong, note="why") == 409, "it is not closed"


def test_a_correction_arrives_after_the_label_that_another_console_is_writing(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first label is taken; its alert is reopened and closed differently before its writer goes on."""
    key, client = console.alert("t-race"), console.client("lead")
    write = console.write_label

    def slow(card: str, data: bytes) -> None:
        monkeypatch.setattr(console, "write_label", write)
        assert change(client, key, version=2, change="reopen", note="wrong one") == 200
        assert change(client, key, version=3, change="false_positive") == 200
        assert console.labels("t-race") == [], "the other one may still be writing"
        write(card, data)

    monkeypatch.setattr(console, "write_label", slow)
    console.desk.change(User("ann", Role.ANALYST), key, 1, "confirm_fraud")
    assert [label["verdict"] for label in console.labels("t-race")] == ["fraud"]
    console.now += dt.timedelta(minutes=1)
    assert [console.desk.deliver(), console.desk.deliver()] == [1, 0]
    assert [label["verdict"] for label in console.labels("t-race")] == ["fraud", "legitimate"]


def test_a_label_that_two_consoles_find_due_is_written_once(settings: Settings) -> None:
    console = Console(settings, "alerts-due", undo_s=10)
    other = Console(settings, "alerts-due", undo_s=10)
    _, key = closed(console, "t-due")
    console.now = other.now = console.now + dt.timedelta(seconds=11)
    due = console.table.get(key)
    assert due is not None
    assert [console.desk.deliver(), other.desk._deliver(due)] == [1, None]
    assert len(console.labels("t-due")) == 1


def test_a_closed_alert_of_an_earlier_version_is_reopened_and_its_label_withdrawn(console: Console) -> None:
    key = console.alert("t-earlier")
    item = console.table.get(key)
    assert item is not None
    entry = {"at_ms": 1, "by": "analyst", "change": "confirm_fraud"}
    console.table.update(key, 1, AlertUpdate("confirmed_fraud", "analyst", entry))
    assert change(console.client("analyst"), key, version=2, change="reopen", note="a new look") == 200
    assert [label["verdict"] for label in console.labels("t-earlier")] == ["withdrawn"]


def test_a_full_history_leaves_verdicts_and_their_undoing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.services.alerts.MAX_CHANGES", 1)
    key, client = console.alert("t-full"), console.client("analyst")
    assert change(client, key, change="assign") == 200
    assert change(client, key, version=2, change="note", note="more") == 409
    assert change(client, key, version=2, note="with a note") == 409
    assert change(client, key, version=2) == 200


def test_every_change_is_in_the_history_with_who_and_when(console: Console) -> None:
    key = console.alert("t-history")
    ann, bob = console.client("analyst"), console.client("lead")
    assert change(ann, key, change="assign") == 200
    assert change(bob, key, change="note", version=2, note="called") == 200
    assert change(bob, key, change="escalate", version=3) == 200
    assert change(ann, key, version=4) == 200
    assert change(ann, key, change="note", version=5, note="refunded") == 200, "notes go on after closing"
    answer = bob.get(f"/api/alerts/one?key={key}").json()
    at_ms = int(console.now.timestamp() * 1000)
    assert answer["history"] == [
        {"at_ms": at_ms, "by": "analyst", "change": "assign"},
        {"at_ms": at_ms, "by": "lead", "change": "note", "note": "called"},
        {"at_ms": at_ms, "by": "lead", "change": "escalate"},
        {"at_ms": at_ms, "by": "analyst", "change": "confirm_fraud"},
        {"at_ms": at_ms, "by": "analyst", "change": "note", "note": "refunded"},
    ]
    assert (answer["status"], answer["assignee"], answer["version"]) == ("confirmed_fraud", "analyst", 6)


def test_bulk_change_answers_for_each_alert(console: Console) -> None:
    keys = [*(console.alert(name) for name in ("t-1", "t-2", "t-3")), "a" * 40]
    assert change(console.client("lead"), keys[1], change="assign") == 200
    body = {"alerts": [{"key": key, "version": 1} for key in keys], "change": "false_positive"}
    answer = console.client("analyst").post("/api/alerts/changes", json=body)
    assert answer.json()["results"] == [
        {"key": keys[0], "refused": None},
        {"key": keys[1], "refused": "lead changed this alert since you saw it; look again"},
        {"key": keys[2], "refused": None},
        {"key": keys[3], "refused": "there is no alert on this decision"},
    ]


def test_queue_is_filtered_and_ordered(console: Console) -> None:
    minute = dt.timedelta(minutes=1)
    console.alert("a", decided_at=NOON, severity=80, score=0.9, billing_amount_minor=100, merchant_country="FR")
    console.alert(
        "b", decided_at=NOON + minute, severity=10, score=None, outcome="decline", channel="moto", rules=["x"]
    )
    console.alert("c", decided_at=NOON + 2 * minute, severity=80, score=0.95, merchant_id="shop", rules=["x", "y"])
    console.queue.reload()
    client = console.client("analyst")
    # the decline first, then .95 of a larger amount before .9 of 1.00
    assert waiting(client) == waiting(client, order="riskiest") == ["b", "c", "a"]
    assert waiting(client, order="newest") == ["c", "b", "a"]
    assert waiting(client, order="oldest") == ["a", "b", "c"]
    for filters, found in [
        ({"outcome": "decline"}, ["b"]),
        ({"min_score": 0.91}, ["c"]),
        ({"max_minor": 100}, ["a"]),
        ({"min_minor": 101}, ["c", "b"]),
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
        assert waiting(client, order="newest", **filters) == found, filters  # type: ignore[arg-type]
    facets = client.get("/api/alerts/facets").json()
    assert facets["rule"] == {"r1": 1, "x": 2, "y": 1}
    assert facets["country"] == {"DE": 2, "FR": 1}


@pytest.mark.parametrize("order", ["newest", "riskiest", "oldest"])
def test_pages_of_the_queue_show_every_alert_once_though_some_are_closed(console: Console, order: str) -> None:
    for number in range(30):
        at = NOON + dt.timedelta(seconds=number // 4)
        console.alert(f"t-{number:02d}", decided_at=at, severity=number % 3, score=None if number % 5 else 0.5)
    console.queue.reload()
    client = console.client("analyst")
    seen: list[str] = []
    place: dict[str, str] = {}
    while True:
        answer = client.get("/api/alerts", params={"order": order, "limit": "7"} | place).json()
        seen += [alert["transaction_id"] for alert in answer["alerts"]]
        if answer["cursor"] is None:
            break
        place = {"cursor": answer["cursor"]}
        assert change(client, answer["alerts"][-1]["key"]) == 200
    assert sorted(seen) == [f"t-{number:02d}" for number in range(30)]
    assert client.get("/api/alerts", params={"order": order, "cursor": "bm9uZQ"}).status_code == 400


def cases_of(client: TestClient, **filters: Any) -> list[tuple[str, list[str]]]:
    """Of each case of the queue the alert that leads it, and all its waiting ones, newest first."""
    answer = client.get("/api/alerts/cases", params=filters)
    assert answer.status_code == 200, answer.text
    return [
        (one["lead"]["transaction_id"], [alert["transaction_id"] for alert in one["waiting"]])
        for one in answer.json()["cases"]
    ]


def test_alerts_of_a_card_and_a_day_of_arrival_are_one_case(console: Console) -> None:
    minute, day = dt.timedelta(minutes=1), dt.timedelta(days=1)
    noon_ms = int(NOON.timestamp() * 1000)
    rows: list[dict[str, Any]] = [
        {"arrival_ms": noon_ms, "severity": 10, "billing_amount_minor": 100},
        {"arrival_ms": noon_ms + 1, "severity": 95, "billing_amount_minor": 20, "merchant_country": "FR"},
        {"arrival_ms": noon_ms + 86_400_000, "severity": 30},  # decided on the first day, arrived on the next
        {"card_token": "card-2", "arrival_ms": noon_ms, "recorded_arrival": NOON + day, "severity": 20},
        {"severity": 20, "billing_amount_minor": 3},  # of an earlier version: by its decision
    ]
    for number, fields in enumerate(rows):
        console.alert(f"t-{number}", decided_at=NOON + number * minute, **fields)
    console.queue.reload()
    client = console.client("analyst")
    first = ["t-4", "t-1", "t-0"]
    assert cases_of(client) == [("t-1", first), ("t-2", ["t-2"]), ("t-3", ["t-3"])]
    assert cases_of(client, order="newest") == [("t-4", first), ("t-3", ["t-3"]), ("t-2", ["t-2"])]
    assert cases_of(client, order="oldest") == [("t-0", first), ("t-2", ["t-2"]), ("t-3", ["t-3"])]
    assert cases_of(client, country="DE", max_minor=50, order="newest") == [("t-4", first)]
    assert cases_of(client, country="FR") == [("t-1", first)], "a filter looks for a case, a verdict is on all of it"
    answer = client.get("/api/alerts/cases", params={"limit": 1}).json()
    assert (answer["matching"], answer["alerts"]) == (3, 5)
    (case,) = answer["cases"]
    assert (case["alerts"], case["billing_minor"], len(case["waiting"])) == (3, 123, 3)
    seen = []
    while answer["cursor"]:
        answer = client.get("/api/alerts/cases", params={"limit": 1, "cursor": answer["cursor"]}).json()
        seen += [one["lead"]["transaction_id"] for one in answer["cases"]]
    assert seen == ["t-2", "t-3"]
    assert "token-of-card" not in console.client("viewer").get("/api/alerts/cases").text


def test_a_new_alert_joins_a_case_that_is_being_closed_and_opens_it_again(console: Console) -> None:
    keys = [console.alert(f"t-{number}", decided_at=NOON + dt.timedelta(minutes=number)) for number in range(2)]
    console.queue.reload()
    client = console.client("analyst")
    ((_, seen),) = cases_of(client)
    keys.append(console.alert("t-2", decided_at=NOON + dt.timedelta(minutes=5)))
    console.queue.refresh()
    body = {"alerts": [{"key": key, "version": 1} for key in keys[:2]], "change": "confirm_fraud"}
    assert client.post("/api/alerts/changes", json=body).json()["results"] == [
        {"key": key, "refused": None} for key in keys[:2]
    ]
    assert (seen, cases_of(client)) == (["t-1", "t-0"], [("t-2", ["t-2"])])
    answer = client.get("/api/cases/alerts", params={"key": keys[2]}).json()
    assert [(one["transaction_id"], one["status"]) for one in answer["alerts"]] == [
        ("t-2", "open"),
        ("t-1", "confirmed_fraud"),
        ("t-0", "confirmed_fraud"),
    ]
    assert (answer["by"], answer["day_ms"] + 43_200_000, answer["more"]) == ("card", NOON.timestamp() * 1000, False)
    assert change(client, keys[0], version=2, change="reopen", note="look again") == 200
    assert cases_of(client, order="oldest") == [("t-0", ["t-2", "t-0"])]


@pytest.mark.parametrize(("by", "found"), [("merchant", ["t-3", "t-0"]), ("device", ["t-2", "t-0"])])
def test_a_setting_groups_by_merchant_or_device(settings: Settings, by: CaseBy, found: list[str]) -> None:
    console = Console(settings, f"alerts-by-{by}", case_by=by)
    rows: list[dict[str, Any]] = [
        {"card_token": "card-0", "merchant_id": "m-1", "device_id": "d-1"},
        {"card_token": "card-1", "merchant_id": "m-2", "device_id": None},
        {"card_token": "card-2", "merchant_id": "m-3", "device_id": "d-1"},
        {"card_token": "card-3", "merchant_id": "m-1", "device_id": "d-2"},
    ]
    keys = []
    for number, row in enumerate(rows):
        at = NOON + dt.timedelta(minutes=number)
        keys.append(console.alert(f"t-{number}", decided_at=at, **row))
    console.archived(*({"transaction_id": f"t-{number}"} | row for number, row in enumerate(rows)))
    console.queue.reload()
    client = console.client("analyst")
    assert found in [waiting for _, waiting in cases_of(client)]
    assert len(cases_of(client)) == 3
    assert change(client, keys[0]) == 200
    answer = client.get("/api/cases/alerts", params={"key": keys[0]}).json()
    assert (answer["by"], [one["transaction_id"] for one in answer["alerts"]]) == (by, found)


def test_queue_shows_what_another_console_did(console: Console, settings: Settings) -> None:
    key = console.alert("t-1")
    console.alert("t-2")
    console.queue.reload()
    other = Console(settings, console.settings.alerts.table)
    other.queue.reload()
    assert change(other.client("lead"), key) == 200
    assert waiting(console.client("analyst")) == ["t-2"]
    console.alert("t-3")
    console.queue.refresh()
    assert sorted(waiting(console.client("analyst"))) == ["t-2", "t-3"]


def test_case_shows_card_merchant_and_linked_cases(console: Console) -> None:
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
    key = console.alert("t-1", **here)
    console.alert("t-device", **other)
    console.alert("t-merchant", **near)
    console.alert("t-new", event_time=NOON + hour, decided_at=NOON + hour)  # not in the archive yet
    client = console.client("analyst")
    asked = {"key": key}
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
    for part in ("one", "card", "merchant", "linked", "contributions", "counterfactual"):
        answer = console.client("viewer").get(f"/api/cases/{part}", params=asked)
        assert answer.status_code == 200
        assert "token-of-card" not in answer.text
        assert client.get(f"/api/cases/{part}", params={"key": "none"}).status_code == 404


@pytest.mark.parametrize("indexed", [True, False])
def test_a_case_shows_the_payments_around_its_own_however_many_came_after(
    console: Console, monkeypatch: pytest.MonkeyPatch, indexed: bool
) -> None:
    """Of 20 payments before the alert's and 20 after it, nine fit beside it: at most three of them from after it."""
    monkeypatch.setattr("console.services.case.CARD_PAYMENTS", 10)
    monkeypatch.setattr("console.services.case.CARD_PAYMENTS_AFTER", 3)
    card = {"card_token": "token-of-card-1234", "merchant_id": "m<1>", "outcome": "approve"}
    hour = dt.timedelta(hours=1)
    rows = [card | {"transaction_id": f"t{n:+03d}", "event_time": NOON + n * hour} for n in range(-20, 21) if n]
    own = [{"transaction_id": "own", "card_token": "token-of-card-1234", "merchant_id": "m<1>"}] if indexed else []
    console.archived(*rows, *own)
    key = console.alert("own")
    for number in range(21, 30):
        at = NOON + number * hour
        console.alert(f"late-{number}", event_time=at, decided_at=at)  # not in the archive yet
    answer = console.client("analyst").get("/api/cases/card", params={"key": key}).json()
    shown = [one["transaction_id"] for one in answer["payments"]]
    assert shown == ["t+03", "t+02", "t+01", "own", "t-01", "t-02", "t-03", "t-04", "t-05", "t-06"]
    assert (answer["earlier"], answer["later"]) == (True, True)
    assert answer["payments"][3]["status"] == "open"
    usual = answer["usual"]
    assert (usual["payments"] in (10, 11), usual["same"]["merchant_id"]) == (True, usual["payments"])
    first = console.alert("first", event_time=NOON - 20 * hour, transaction_type="purchase")
    answer = console.client("analyst").get("/api/cases/card", params={"key": first}).json()
    assert (len(answer["payments"]), answer["earlier"], answer["later"]) == (10, False, True)


NEXT_DAY = NOON + dt.timedelta(days=1, minutes=1)
SHARED: list[dict[str, Any]] = [
    {"card_token": "token-of-card-1234"},
    {"card_token": "token-of-card-5678"},
    {"card_token": "token-of-card-1234", "event_time": NEXT_DAY, "decided_at": NEXT_DAY},
]
"""Three uses of one transaction id: by two cards at the same instant, and by one of them again on the next day."""


@pytest.mark.parametrize("version", ["this", "former"])
def test_verdict_reaches_the_right_one_of_cards_and_days_with_one_transaction_id(
    console: Console, version: str
) -> None:
    # An earlier version had one id for both days of a card, and so one alert at most.
    shared, make = (SHARED, console.alert) if version == "this" else (SHARED[1:], console.former_alert)
    known = f"123-{version}"
    keys = [make(known, **fields) for fields in shared]
    assert len({*keys}) == len(shared)
    console.queue.reload()
    client = console.client("analyst")
    listed = client.get("/api/alerts", params={"search": known}).json()["alerts"]
    assert sorted(alert["key"] for alert in listed) == sorted(keys)
    given = {}
    for number, (key, fields) in enumerate(zip(keys, shared, strict=True)):
        assert client.get("/api/cases/one", params={"key": key}).json()["alert"]["card_token"] == fields["card_token"]
        verdict, change_to = [("fraud", "confirm_fraud"), ("legitimate", "false_positive")][number % 2]
        assert change(client, key, change=change_to) == 200
        given[fields["card_token"], fields.get("event_time", NOON)] = verdict
    assert given == {
        (label["card_token"], dt.datetime.fromisoformat(label["transaction_time"])): label["verdict"]
        for label in console.labels(known)
    }
    assert [(user, what) for user, _, what in console.audit] == [("analyst", key) for key in keys]
    console.archived(*({"transaction_id": known} | fields for fields in shared))
    found = client.get("/api/cases/find", params={"transaction_id": known}).json()
    assert sorted(alert["key"] for alert in found["alerts"]) == sorted(keys)
    assert (found["more"], found["complete"]) == (False, True)
    times = [alert["event_ms"] for alert in found["alerts"]]
    assert times == sorted(times, reverse=True)


def test_ids_with_separators_in_them_do_not_meet(console: Console) -> None:
    one, other = (
        console.alert("c", card_token="a:b", merchant_id="m-1"),
        console.alert("b:c", card_token="a", merchant_id="m-2"),
    )
    client = console.client("lead")
    assert change(client, one) == 200
    assert change(client, other, change="false_positive") == 200
    assert [console.labels(known)[0]["merchant_id"] for known in ("c", "b:c")] == ["m-1", "m-2"]


def test_an_alert_of_an_earlier_version_is_listed_read_linked_and_decided(console: Console) -> None:
    key = console.former_alert("t-old", merchant_id="m-9")
    later = NOON + dt.timedelta(days=2)
    again = console.alert("t-old", event_time=later, decided_at=later, merchant_id="m-9")
    rows = [{"transaction_id": "t-old", "card_token": "token-of-card-1234", "merchant_id": "m-9"}]
    console.archived(*rows, rows[0] | {"event_time": later})
    client = console.client("analyst")
    # Known from the archive alone, as after a restart of the console.
    answer = client.get("/api/cases/one", params={"key": key}).json()["alert"]
    assert (answer["key"], answer["transaction_id"], "alert_id" in answer) == (key, "t-old", False)
    linked = client.get("/api/cases/linked", params={"key": again}).json()
    assert {kind: [one["key"] for one in items] for kind, items in linked.items()} == {
        "card": [key],
        "device": [],
        "merchant": [key],
    }
    console.queue.reload()
    assert sorted(alert["key"] for alert in client.get("/api/alerts").json()["alerts"]) == sorted([key, again])
    assert change(client, key) == 200
    assert [label["verdict"] for label in console.labels("t-old")] == ["fraud"]
    (closed,) = client.get("/api/alerts/closed?status=confirmed_fraud").json()["alerts"]
    assert closed["key"] == key
    card = client.get("/api/cases/card", params={"key": again}).json()
    assert [(one["key"], one["status"]) for one in card["payments"]] == [(again, "open"), (key, "confirmed_fraud")]


def test_a_key_says_nothing_of_the_card_and_no_other_id_opens_a_case(console: Console) -> None:
    key = console.former_alert("t-1", card_token="tok")
    console.queue.reload()
    client = console.client("viewer")
    assert "token" not in client.get("/api/alerts").text.replace("card_token", "")
    for known in ("t-1", "tok:t-1", "tok", key[:-1], key + "a", key.upper()):
        assert client.get("/api/cases/one", params={"key": known}).status_code == 404


def test_no_more_cases_of_one_transaction_id_are_shown_than_a_page_holds(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.services.case.FOUND", 2)
    for number in range(3):
        console.alert("000123", event_time=NOON + dt.timedelta(days=number))
    console.queue.reload()
    found = console.client("lead").get("/api/cases/find?transaction_id=000123").json()
    day_ms = 86_400_000
    assert [alert["event_ms"] % (10 * day_ms) // day_ms for alert in found["alerts"]] == [
        (int(NOON.timestamp() * 1000) + number * day_ms) % (10 * day_ms) // day_ms for number in (2, 1)
    ]
    assert found["more"] is True


def test_case_explains_the_score_by_the_model_that_gave_it(console: Console) -> None:
    scorer = InProcessScorer.load(Path(__file__).parents[2] / "config" / "model" / "champion")
    version = scorer.model_version
    assert version is not None
    client = console.client("analyst")

    def contributions(name: str) -> Any:
        return client.get("/api/cases/contributions", params={"key": keys[name]}).json()

    models = {"t-1": version, "t-2": "another", "t-3": None}
    keys = {name: console.alert(name, model_version=model) for name, model in models.items()}
    assert contributions("t-1")["missing"] == "archive"
    card = {"card_token": "token-of-card-1234", "model_version": version}
    rows = [card | {"transaction_id": f"t-{number}"} for number in range(3)]
    console.archived(*rows, features=scorer.description.features)
    assert contributions("t-1")["missing"] == "model"
    console.models[version] = scorer
    answer = contributions("t-1")
    assert (answer["model_version"], answer["missing"]) == (version, None)
    shares = [one["log_odds"] for one in answer["contributions"]]
    assert len(shares) > 3
    assert shares == sorted(shares, key=abs, reverse=True), "largest first, in whichever direction"
    assert min(shares) < 0 < max(shares)
    assert contributions("t-2")["missing"] == "model"
    assert contributions("t-3")["missing"] == "rules"


def test_case_says_what_would_have_been_approved_by_the_policy_that_decided(console: Console) -> None:
    client = console.client("viewer")
    rules = {"id": "online-large", "description": "x", "when": "tx_amount >= 20", "outcome": "review", "reason": "L"}
    bundle = PolicyBundle({ROOT: yaml.safe_dump({"thresholds": {}, "rules": [rules | {"text": "large"}]})})

    def counterfactual(key: str) -> Any:
        return client.get("/api/cases/counterfactual", params={"key": key}).json()

    fields = {"policy_version": bundle.version, "model_version": None, "billing_amount_minor": 12_345}
    key = console.alert("t-1", **fields)
    assert counterfactual(key) == {"changes": [], "missing": "archive"}
    card = {"card_token": "token-of-card-1234", "amount_minor": 12_345, "tx_amount": 123.45}
    console.archived({"transaction_id": "t-1"} | card | fields, features=["tx_amount"])
    assert counterfactual(key) == {"changes": [], "missing": "policy"}
    console.archive.put_new(policy_key(bundle.version), bundle.to_bytes())
    changes = [{"kind": "amount", "text": "EUR 19.99 instead of EUR 123.45", "score": None}]
    assert counterfactual(key) == {"changes": changes, "missing": None}
    other = console.alert("t-2", **fields)
    console.archived({"transaction_id": "t-2"} | card | fields | {"tx_amount": 1.0}, features=["tx_amount"], batch=2)
    assert counterfactual(other) == {"changes": [], "missing": "differs"}, "below the limit: approved today"
    unscored = console.alert("t-3", **fields | {"model_version": "m-gone"})
    console.archived({"transaction_id": "t-3"} | card | fields, features=["tx_amount"], batch=3)
    assert counterfactual(unscored) == {"changes": [], "missing": "model"}


DECLARED = """
entities:
  - {name: customer, columns: [customer_id], label: customer, velocity: {windows: 1h 7d}}
"""
BUSY = """
thresholds: {}
rules:
  - {id: busy, description: x, when: customer_count_1h >= 3, outcome: review, reason: BUSY,
     text: "{customer_count_1h:counted} at once"}
"""


def test_a_case_says_in_words_what_a_deployment_declares(settings: Settings) -> None:
    declared = Declared.model_validate(parse_yaml("features.yaml", DECLARED))
    job = settings.job.model_copy(update={"features": declared})
    console = Console(settings.model_copy(update={"job": job}), "declared")
    bundle, client = PolicyBundle({ROOT: BUSY}), console.client("viewer")
    values = {"customer_count_1h": 4.0, "customer_count_7d": 16.0, "customer_cards_1h": 1.0, "card_count_1h": 4.0}
    fields = {"policy_version": bundle.version, "model_version": None}
    codes = ["BUSY", "CUSTOMER_COUNT_1H", "AGAINST_CUSTOMER_CARDS_1H", "MODEL_SCORE"]
    key = console.alert("t-1", values, **fields, rules=["busy"], reason_codes=codes, reasons=["x"] * 4)
    console.archived(
        {"transaction_id": "t-1", "card_token": "token-of-card-1234"} | fields | values, features=[*values]
    )
    console.archive.put_new(policy_key(bundle.version), bundle.to_bytes())

    case = client.get("/api/cases/one", params={"key": key}).json()
    changes = client.get("/api/cases/counterfactual", params={"key": key}).json()["changes"]

    texts = {feature["name"]: feature["text"] for feature in case["features"]}
    assert texts["customer_count_1h"] == "4 payments of this customer in an hour; usually about 2 a day"
    assert texts["customer_cards_1h"] == "1 card for this customer in an hour"
    assert case["alert"]["reason_sources"] == ["rule", "model", "model", "model"]
    assert [change["kind"] for change in changes] == ["time", "velocity"]
    assert changes[1]["text"] == "without the 4 payments of this card in the hour before it"


def test_hostile_text_is_data(console: Console) -> None:
    key = console.alert("t-text", reasons=[INJECTION], merchant_id=INJECTION, device_id=INJECTION, rules=[INJECTION])
    console.queue.reload()
    client = console.client("analyst")
    assert change(client, key, change="escalate", note=INJECTION) == 200
    for field in ("search", "rule", "assignee", "outcome", "country", "channel"):
        waiting(client, **{field: INJECTION})
    assert waiting(client, search=INJECTION, rule=INJECTION) == ["t-text"]
    answer = client.get("/api/alerts/one", params={"key": key}).json()
    assert (answer["history"][0]["note"], answer["reasons"], answer["merchant_id"]) == (
        INJECTION,
        [INJECTION],
        INJECTION,
    )
    assert client.get("/api/alerts/one", params={"key": INJECTION}).status_code == 404
    assert client.post("/api/session", json={"name": INJECTION, "password": INJECTION}).status_code == 401


def test_a_read_of_a_card_token_is_audited_once_a_view_and_a_viewer_reads_none(console: Console) -> None:
    key, _ = (
        console.alert(name, card_token=f"token-of-{name}", reasons=[f"token-of-{name} is on the list"])
        for name in ("t-read-1", "t-read-2")
    )
    console.queue.reload()
    asked = {"search": "token-of-t-read-1"}
    one = {"key": key}

    def lines(role: str, path: str, parameters: dict[str, str], view: str | None) -> list[tuple[str, str, str]]:
        console.reads.clear()
        headers = {} if view is None else {"x-view": view}
        answer = clients[role].get(path, params=parameters, headers=headers)
        assert ("token-of-t-read-1" in answer.text) == (role != "viewer")
        return list(console.reads)

    clients = {role: console.client(role) for role in ("viewer", "analyst")}
    read = [("analyst", "read", key)]
    for path, parameters in (
        ("/api/alerts", asked),
        ("/api/alerts/one", one),
        ("/api/cases/one", one),
        ("/api/cases/card", one),
    ):
        assert lines("analyst", path, parameters, None) == read
        assert lines("analyst", path, parameters, path) == read
        assert lines("analyst", path, parameters, path) == []
        assert lines("analyst", path, parameters, f"{path} again") == read
        assert lines("viewer", path, parameters, None) == []


def test_a_page_that_asks_by_itself_does_not_keep_the_session(console: Console) -> None:
    now = [1000.0]
    console.app.state.access = Access(lambda: USERS, lambda: now[0], idle_s=900.0)
    client = console.client("viewer")
    by_itself = {"x-unattended": "1"}
    now[0] += 899
    assert client.get("/api/alerts", headers=by_itself).status_code == 200
    now[0] += 1
    assert client.get("/api/alerts", headers=by_itself).status_code == 401


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
        return "shown"

    console.app = build_app(Access(lambda: USERS, lambda: 1000.0), [admins], {}, door=DOOR)
    assert console.client("admin").get("/api/session").json()["pages"] == [
        {"name": "secret", "title": "Secret", "listed": True}
    ]
    assert console.client("admin").get("/api/secret").json() == "shown"
    assert console.client("lead").get("/api/session").json()["pages"] == []
    assert console.client("lead").get("/api/secret").status_code == 403
    assert TestClient(console.app).get("/api/secret").status_code == 401
