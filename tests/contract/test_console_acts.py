"""Blocking, watching and allowing from a case: who may, what it would have changed, and that decisions know it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from adapters.archive.payment_index import Name
from adapters.policy.source import PolicySource, policy_files
from fraud.decision.policy.compiler import compile_policy
from fraud.settings import Policy, Settings
from tests.support.consoles import Console
from tests.support.decisions import FIELDS, featured
from tests.support.emulators import provisioned
from tests.support.records import NOON

CARD = {"card_token": "token-of-card-1234", "merchant_id": "m-1", "device_id": "d-1", "ip_address": "192.0.2.7"}


POLICY = {"thresholds": {}, "lists": [{"name": "stolen-cards", "kind": "block", "of": "card"}]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY))
    with provisioned(Settings(policy=Policy(path=str(file)))) as located:
        yield located


def payment(name: str, minutes: int, outcome: str, **fields: Any) -> dict[str, Any]:
    when = {"event_time": NOON + dt.timedelta(minutes=minutes), "outcome": outcome}
    return CARD | {"transaction_id": name, "billing_amount_minor": 1_000} | when | fields


@pytest.fixture
def acted(settings: Settings, request: pytest.FixtureRequest) -> tuple[Console, str]:
    """A console with an alert that four payments follow, of which one was declined and one is of another card."""
    console = Console(settings, f"acts-{abs(hash(request.node.name))}")
    console.archived(
        payment("t-before", -5, "approve"),
        payment("t-0", 0, "review"),
        payment("t-1", 1, "approve"),
        payment("t-2", 2, "review"),
        payment("t-3", 3, "decline"),
        payment("t-4", 4, "approve", card_token="card-2"),
    )
    return console, console.alert("t-0", **CARD)


def targets(console: Console, user: str, key: str) -> dict[str, dict[str, Any]]:
    answer = console.client(user).get("/api/acts", params={"key": key})
    assert answer.status_code == 200, answer.text
    return {one["of"]: one for one in answer.json()["targets"]}


def test_what_an_act_would_have_changed_is_counted_over_the_payments_since(acted: tuple[Console, str]) -> None:
    console, key = acted
    found = targets(console, "analyst", key)
    assert list(found) == ["card", "customer", "merchant", "device", "ip"]
    card, merchant = found["card"], found["merchant"]
    assert (card["name"], card["payments"], card["lists"]) == ("token-of-card-1234", 3, [])
    assert card["effects"] == {
        "block": {"payments": 2, "billing_minor": 2_000},
        "watch": {"payments": 1, "billing_minor": 1_000},
        "allow": {"payments": 2, "billing_minor": 2_000},
    }
    assert (merchant["payments"], merchant["effects"]["block"]["payments"]) == (4, 3)
    assert (card["needs_lead"], merchant["needs_lead"]) == (["allow"], ["block", "allow"])
    alone = targets(console, "lead", Name("device", "d-1").key)
    assert (list(alone), alone["device"]["payments"], alone["device"]["needs_lead"]) == (["device"], 6, [])
    assert console.client("analyst").get("/api/acts", params={"key": "f" * 15}).status_code == 404


def test_an_analyst_blocks_a_card_for_a_time_and_the_next_decision_knows_it(acted: tuple[Console, str]) -> None:
    console, key = acted
    analyst, wanted = console.client("analyst"), {"key": key, "of": "card", "does": "block", "days": 7, "why": "stolen"}
    other = policy_files(console.settings.policy.path, console.settings.aws, console.settings.lists.path)
    deciding = PolicySource(other, lambda bundle: compile_policy(bundle, FIELDS))
    later = featured({"card_token": CARD["card_token"], "event_time": NOON + dt.timedelta(days=1)})
    too_late = featured({"card_token": CARD["card_token"], "event_time": NOON + dt.timedelta(days=8)})
    assert not deciding.current.find(later).listed.any()
    (entry,) = analyst.post("/api/acts", json=wanted).json()["lists"]
    until = dt.datetime.fromisoformat(entry["expires"])
    assert (entry["list"], entry["by"], entry["why"]) == ("stolen-cards", "analyst", "stolen")
    assert until == console.now + dt.timedelta(days=7)
    assert deciding.refresh_lists().find(later).listed.any()
    assert not deciding.current.find(too_late).listed.any()
    assert [line[:2] for line in console.audit] == [("analyst", "card blocked")]
    assert CARD["card_token"] not in str(console.audit)
    taken = {"key": key, "of": "card", "list": "stolen-cards", "why": "the customer called"}
    assert analyst.post("/api/acts/removals", json=taken).json()["lists"] == []
    assert not deciding.refresh_lists().find(later).listed.any()
    assert analyst.post("/api/acts/removals", json=taken).status_code in {403, 409}


def test_what_touches_many_customers_or_lets_payments_through_needs_a_lead(acted: tuple[Console, str]) -> None:
    console, key = acted
    analyst, lead = console.client("analyst"), console.client("lead")
    for of, does, days in (
        ("merchant", "block", 1),
        ("card", "allow", 1),
        ("card", "block", None),
        ("ip", "watch", 91),
    ):
        wanted = {"key": key, "of": of, "does": does, "days": days, "why": "w"}
        assert analyst.post("/api/acts", json=wanted).status_code == 403
        assert lead.post("/api/acts", json=wanted).status_code == 200
    assert {one["list"] for one in targets(console, "analyst", key)["card"]["lists"]} == {
        "allowed-cards",
        "stolen-cards",
    }
    assert targets(console, "analyst", key)["ip"]["lists"][0]["list"] == "watched-ips", "made, as there was none"
    off = {"key": key, "of": "card", "list": "stolen-cards", "why": "w"}
    assert analyst.post("/api/acts/removals", json=off).status_code == 403, "a lead put it there"
    assert lead.post("/api/acts/removals", json=off).status_code == 200
    assert lead.post("/api/acts", json={"key": key, "of": "card", "does": "block", "why": ""}).status_code == 422
