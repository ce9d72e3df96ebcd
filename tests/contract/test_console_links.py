"""What cards share, as a graph, and a ring of cards worked as one case."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.archive.payment_index import Name
from fraud.settings import Settings
from tests.support.consoles import Console
from tests.support.emulators import provisioned
from tests.support.records import NOON

RING = ("tok-a", "tok-b", "tok-c")


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def ring(settings: Settings, request: pytest.FixtureRequest) -> tuple[Console, dict[str, str]]:
    """Three cards on one device, each with an alert, and a fourth card that shares a busy merchant alone."""
    console = Console(settings, f"links-{abs(hash(request.node.name))}")
    rows: list[dict[str, Any]] = [
        {"transaction_id": f"t-{token}", "card_token": token, "customer_id": f"c-{token}", "device_id": "d-1"}
        for token in RING
    ]
    shared = {"merchant_id": "m-busy", "ip_address": None}
    console.archived(
        *(row | shared | {"outcome": "review", "billing_amount_minor": 1_000} for row in rows),
        {"transaction_id": "t-other", "card_token": "tok-d", "customer_id": "c-d", "outcome": "approve"} | shared,
    )
    keys = {row["card_token"]: console.alert(row["transaction_id"], **row | shared) for row in rows}
    console.queue.reload()
    return console, keys


def test_the_graph_has_what_is_shared_with_verdicts_and_money_and_no_bystanders(
    ring: tuple[Console, dict[str, str]],
) -> None:
    console, keys = ring
    client = console.client("analyst")
    body = {"key": keys["tok-b"], "version": 1, "change": "confirm_fraud"}
    assert client.post("/api/alerts/change", json=body).status_code == 200
    graph = client.get("/api/cases/links", params={"key": keys["tok-a"]}).json()
    nodes = {node["name"]: node for node in graph["nodes"]}
    assert nodes.keys() == {*RING, "c-tok-a", "d-1", "m-busy"}
    assert (graph["root"], graph["more"]) == (Name("card", "tok-a").key, False)
    assert [nodes[token]["status"] for token in RING] == ["open", "confirmed_fraud", "open"]
    assert (nodes["d-1"]["payments"], nodes["d-1"]["billing_minor"], nodes["tok-a"]["alerts"]) == (3, 3_000, 1)
    linked = {(link["card"], link["to"]) for link in graph["links"]}
    assert {(Name("card", token).key, Name("device", "d-1").key) for token in RING} <= linked
    further = client.get("/api/cases/links", params={"key": Name("device", "d-1").key}).json()
    assert {node["name"] for node in further["nodes"]} == {"d-1", *RING}
    hidden = console.client("viewer").get("/api/cases/links", params={"key": keys["tok-a"]})
    assert "tok-" not in hidden.text.replace("c-tok-a", "")
    assert client.get("/api/cases/links", params={"key": "0" * 15}).status_code == 404


def test_a_ring_is_taken_into_one_case_closed_as_one_and_taken_apart(ring: tuple[Console, dict[str, str]]) -> None:
    console, keys = ring
    client, other = console.client("analyst"), console.client("lead")
    assert len(client.get("/api/alerts/cases").json()["cases"]) == 3
    cards = [Name("card", token).key for token in ("tok-b", "tok-c")]
    answer = client.post("/api/cases/joins", json={"key": keys["tok-a"], "cards": cards})
    assert {one["refused"] for one in answer.json()["results"]} == {None}
    (case,) = client.get("/api/alerts/cases").json()["cases"]
    assert (case["alerts"], case["billing_minor"]) == (3, 3 * 1_234)
    for key in keys.values():
        found = client.get("/api/cases/alerts", params={"key": key}).json()
        assert {alert["key"] for alert in found["alerts"]} == set(keys.values())
        assert (found["joined"], found["cards"]) == (True, 3)
    console.queue.reload()
    late = console.alert("t-late", card_token="tok-b", decided_at=NOON + dt.timedelta(minutes=5))
    console.queue.reload()
    assert len(client.get("/api/alerts/cases").json()["cases"]) == 2, "what comes later is a case of its own"

    seen = [{"key": key, "version": 2} for key in (keys["tok-a"], keys["tok-b"])]
    done = other.post("/api/alerts/changes", json={"alerts": seen, "change": "confirm_fraud"}).json()
    assert {one["refused"] for one in done["results"]} == {None}
    found = client.get("/api/cases/alerts", params={"key": keys["tok-c"]}).json()["alerts"]
    assert sorted(alert["status"] for alert in found) == ["confirmed_fraud", "confirmed_fraud", "open"]
    split = {"key": keys["tok-c"], "version": 2, "change": "split"}
    assert client.post("/api/alerts/change", json=split).status_code == 200
    found = client.get("/api/cases/alerts", params={"key": keys["tok-c"]}).json()
    assert (len(found["alerts"]), found["joined"]) == (1, False)
    assert late not in {alert["key"] for alert in found["alerts"]}
    body = {"key": keys["tok-a"], "cards": [Name("card", "tok-d").key]}
    assert client.post("/api/cases/joins", json=body).status_code == 409
    assert console.client("viewer").post("/api/cases/joins", json=body).status_code == 403
