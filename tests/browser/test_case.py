"""A case with everything around it, its notes, and what an outage and a viewer see of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fraud.settings import Settings
from ml_model.predict import InProcessScorer
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.records import NOON
from tests.support.servers import serving_app

HOSTILE = "<img src=x onerror=alert(1)>"
CHAMPION = Path(__file__).parents[2] / "config" / "model" / "champion"


@pytest.fixture(scope="module")
def console(settings: Settings) -> Console:
    """A case t-9 with payments before it, two alerts of another card with one id, and the model that scored it."""
    made = Console(settings, "alerts-case")
    scorer = InProcessScorer.load(CHAMPION)
    version = str(scorer.model_version)
    made.models[version] = scorer
    card = {"card_token": "token-of-card-1234", "merchant_id": HOSTILE, "device_id": "d-1", "model_version": version}
    payments = [
        card
        | {"transaction_id": f"t-{day}", "event_time": NOON - dt.timedelta(days=9 - day), "outcome": "approve"}
        | {"merchant_lat": 48.0 + day, "merchant_lon": 2.0 * day, "home_lat": 52.5, "home_lon": 13.4}
        | {"billing_amount_minor": 10 ** (day % 4 + 2)}
        for day in range(9)
    ]
    case = card | {"transaction_id": "t-9", "merchant_lat": -33.9, "merchant_lon": 18.4, "reasons": [HOSTILE]}
    other = card | {"transaction_id": "t-0", "card_token": "card-2"}
    again = other | {"event_time": NOON + dt.timedelta(days=1), "merchant_id": "m-2", "device_id": "d-2"}
    made.archived(*payments, case, other, features=scorer.description.features)
    made.alert("t-9", **case)
    made.alert("t-0", **again)
    made.alert("t-0", **other)
    made.queue.reload()
    return made


def key(console: Console, transaction_id: str) -> str:
    """The key of the first alert with a transaction id."""
    return min(console.queue.of_transaction(transaction_id), key=lambda subject: subject.event_ms).key


def test_case_shows_what_surrounds_it_and_keeps_what_was_found_out(console: Console, browser: Browser) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", f"/case/{key(console, 't-9')}") as page:
        expect(page.locator(".reasons")).to_have_text(HOSTILE)
        for chart in (
            "What moved the model's score",
            "Amounts of the card's 10 payments around this one",
            "Where the card was used",
        ):
            expect(page.get_by_role("img", name=chart)).to_be_visible()
        expect(page.locator("svg .marked")).to_have_count(2)
        expect(page.get_by_role("link", name="open")).to_have_count(2)  # t-0: the same device, the same merchant
        expect(page.locator("dl", has_text="supermarkets (5411)")).to_contain_text("9 of 9 earlier payments were here")
        page.get_by_text("As a table").click()
        expect(page.locator("tbody tr", has_text="this one")).to_contain_text("Germany")
        expect(page.locator("tbody tr").nth(1)).to_contain_text("24 h before")
        assert accessibility_faults(page) == []
        page.get_by_text("As a table").click()
        page.get_by_label("Note").fill(HOSTILE)
        page.get_by_role("button", name="Add note").click()
        expect(page.locator(".history blockquote")).to_have_text(HOSTILE)
        page.locator("h1").click()
        page.keyboard.press("m")
        expect(page.get_by_text("analyst works on it")).to_be_visible()
        console.fail_labels = True
        page.get_by_role("button", name="False positive").click()
        expect(page.locator(".badge", has_text="label follows")).to_be_visible()
        console.fail_labels = False
        console.now += dt.timedelta(minutes=1)
        expect(page.locator(".badge", has_text="label follows")).to_be_hidden()
        assert [label["verdict"] for label in console.labels("t-9")] == ["legitimate"]
        page.get_by_role("button", name="Reopen").click()
        reopening = page.get_by_role("dialog")
        reopening.get_by_role("button", name="Reopen").click()
        expect(reopening).to_be_visible()  # not without a reason
        reopening.get_by_label("Reason").fill("the customer called again")
        assert accessibility_faults(page) == []
        reopening.get_by_role("button", name="Reopen").click()
        expect(page.locator(".history li", has_text="reopened")).to_contain_text("the customer called again")
        page.get_by_role("button", name="False positive").click()
        expect(page.locator(".badge", has_text="false positive")).to_be_visible()
        assert [label["verdict"] for label in console.labels("t-9")] == ["legitimate", "withdrawn", "legitimate"]
        page.get_by_role("link", name="open").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        assert page.url.endswith(f"/case/{key(console, 't-0')}")
        page.go_back()
        expect(page.locator(".badge", has_text="false positive").first).to_be_visible()


def test_viewer_sees_no_card_and_nothing_to_press_also_on_a_phone(console: Console, browser: Browser) -> None:
    with (
        serving_app(console.app) as url,
        signed_in(browser, url, "viewer", f"/case/{key(console, 't-0')}", scheme="dark", width=390) as page,
    ):
        expect(page.get_by_role("img", name="What moved the model's score")).to_be_visible()
        expect(page.locator("dl", has_text="…d-2")).to_be_visible()
        expect(page.get_by_role("button", name="Confirm fraud")).to_have_count(0)
        assert accessibility_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.goto(f"{url}/case/none")
        expect(page.get_by_text("There is no alert on this transaction")).to_be_visible()


def test_a_transaction_id_leads_to_all_its_cases_and_never_to_one_of_them(console: Console, browser: Browser) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/case") as page:
        page.get_by_label("Transaction").fill("t-0")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", name="2 on t-0")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.locator("tbody tr").first).to_contain_text("m-2")  # of the next day
        assert page.url.endswith("/case/t-0"), "an older link leads here too"
        assert accessibility_faults(page) == []
        page.get_by_role("link", name="open").last.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        assert page.url.endswith(f"/case/{key(console, 't-0')}")
