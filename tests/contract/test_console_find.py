"""Search over all payments and what they share: what is found, by whom, and where a read is written down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.archive.payment_index import Name
from fraud.decision.key import Subject
from fraud.settings import Settings
from tests.support.consoles import Console
from tests.support.emulators import provisioned
from tests.support.records import NOON

TOKEN = "Token-of-card-1234"


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    """Two payments of a card, one of them an alert, on a device that another card used, too."""
    with provisioned(Settings()) as settings:
        made = Console(settings, "find")
        card = {"card_token": TOKEN, "merchant_id": "m-1", "device_id": "Dev-1", "customer_id": "c-1"}
        other = card | {"card_token": "card-2", "customer_id": "c-2", "merchant_id": "m-2"}
        made.archived(
            card | {"transaction_id": "Tx-1", "outcome": "approve", "event_time": NOON - dt.timedelta(days=2)},
            card | {"transaction_id": "Tx-2", "outcome": "review"},
            other | {"transaction_id": "tx-3", "outcome": "approve"},
        )
        made.alert("Tx-2", **card, reasons=[f"card {TOKEN} did something"])
        yield made


def search(console: Console, user: str, text: str) -> dict[str, Any]:
    answer = console.client(user).post("/api/find", json={"text": text})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_payments_are_found_with_and_without_an_alert(console: Console) -> None:
    found = search(console, "analyst", " tX-")["payments"]
    assert [(one["transaction_id"], one["status"]) for one in found] == [
        ("Tx-1", None),
        ("Tx-2", "open"),
        ("tx-3", None),
    ]
    key = Subject(TOKEN, "Tx-2", int(NOON.timestamp() * 1000)).key
    (by_key,) = search(console, "analyst", key[:10])["payments"]
    assert by_key["key"] == key
    console.alert("just-now", card_token="card-9")
    console.queue.reload()
    assert [one["status"] for one in search(console, "viewer", "just-now")["payments"]] == ["open"], "not archived yet"
    approved = console.client("viewer").get("/api/find/payment", params={"key": found[0]["key"]}).json()
    assert (approved["payment"]["status"], approved["payment"]["card_token"]) == (None, "…1234")
    assert [name["kind"] for name in approved["names"]] == ["card", "customer", "merchant", "device"]


def test_what_payments_share_is_found_by_its_beginning_and_cards_by_analysts_alone(console: Console) -> None:
    (card,) = search(console, "analyst", "token-OF")["names"]["card"]
    assert card == {"kind": "card", "key": Name("card", TOKEN).key, "name": TOKEN}
    assert ("analyst", "read", f"card {card['key']}") in console.reads
    assert search(console, "viewer", "token-of")["names"] == {}
    device = search(console, "viewer", "dev-")["names"]["device"][0]
    about = console.client("viewer").get("/api/find/about", params=device | {"name": ""}).json()
    assert (about["payments"], about["alerts"], about["billing_minor"]) == (3, 1, 3 * 1_234)
    assert [(day["payments"], day["alerts"]) for day in about["days"]] == [(1, 0), (0, 0), (2, 1)]
    assert [one["name"] for one in about["shared"]["card"]] == ["…1234", "…d-2"]
    assert [(one["name"], one["payments"]) for one in about["shared"]["customer"]] == [("c-1", 2), ("c-2", 1)]
    assert {one["transaction_id"]: one["status"] for one in about["newest"]}["Tx-2"] == "open"
    assert TOKEN not in str(about)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("payment", {"key": "a" * 40}),
        ("payment", {"key": "none"}),
        ("about", {"kind": "card", "key": "0" * 15}),
        ("about", {"kind": "merchant", "key": Name("card", TOKEN).key}),
    ],
)
def test_what_is_not_there_says_so(console: Console, path: str, parameters: dict[str, str]) -> None:
    answer = console.client("analyst").get(f"/api/find/{path}", params=parameters)
    assert answer.status_code == 404
    assert "the console knows no" in answer.json()["detail"]


@pytest.mark.parametrize("text", ["", "a", " a ", "two words", "ü1"])
def test_what_no_identifier_begins_with_is_refused(console: Console, text: str) -> None:
    assert console.client("analyst").post("/api/find", json={"text": text}).status_code == 422
