"""Search: from a few characters to a payment without an alert, its card and what that shares."""

from __future__ import annotations

import datetime as dt

from playwright.sync_api import Browser, expect

from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.records import NOON
from tests.support.servers import serving_app


def test_a_payment_is_found_its_card_opened_and_the_search_is_still_there(settings: Settings, browser: Browser) -> None:
    console = Console(settings, "alerts-find")
    card = {"card_token": "tok-secret-1", "merchant_id": "m-1", "device_id": "d-1"}
    console.archived(
        card | {"transaction_id": "t7-1", "outcome": "approve", "event_time": NOON - dt.timedelta(days=1)},
        card | {"transaction_id": "t7-2", "outcome": "review"},
        card | {"transaction_id": "t7-3", "outcome": "approve", "card_token": "tok-other"},
    )
    console.alert("t7-2", **card)
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/find") as page:
        expect(page.get_by_label("Find by the beginning")).to_be_focused()
        page.keyboard.type("T7-")
        page.keyboard.press("Enter")
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(3)
        assert accessibility_faults(page) == []
        rows.filter(has_text="t7-1").get_by_role("link").click()
        expect(page.get_by_text("no alert")).to_be_visible()
        expect(page.locator(".act")).to_have_count(4)
        assert accessibility_faults(page) == []
        page.locator("dl").get_by_role("link", name="tok-secret-1").click()
        expect(page.get_by_role("heading", level=1, name="Card tok-secret-1")).to_be_visible()
        expect(page.locator(".tile", has_text="Payments")).to_contain_text("2")
        page.emulate_media(color_scheme="dark")
        assert accessibility_faults(page) == []
        page.get_by_role("link", name="d-1").first.click()
        expect(page.get_by_role("heading", level=1, name="Device d-1")).to_be_visible()
        expect(page.locator("dl").get_by_role("link", name="tok-other")).to_be_visible()
        assert "tok" not in page.url
        for _ in range(3):
            page.go_back()
        expect(page.get_by_label("Find by the beginning")).to_have_value("T7-")
        expect(rows).to_have_count(3)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        rows.filter(has_text="t7-2").get_by_role("link", name="open").click()
        expect(page.get_by_role("button", name="Confirm fraud")).to_be_visible()
