"""The frame around every page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from embedded.emulator import free_port
from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.servers import serving_app


@pytest.fixture(scope="module")
def console(settings: Settings) -> Console:
    made = Console(settings, "alerts-shell")
    made.alert("t-1", reasons=["<img src=x onerror=alert(1)>"])
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible_in_both_themes(console: Console, browser: Browser, scheme: str) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", scheme=scheme) as page:
        expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
        assert accessibility_faults(page) == []
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        assert accessibility_faults(page) == []


def test_page_says_that_the_server_is_gone_and_recovers_without_reload(console: Console, browser: Browser) -> None:
    port = free_port()
    served = serving_app(console.app, port)
    url = served.__enter__()
    with signed_in(browser, url, "analyst") as page:
        expect(page.locator("tbody tr")).to_have_count(1)
        page.evaluate("window.kept = true")
        served.__exit__(None, None, None)
        expect(page.locator("#outage")).to_contain_text("out of reach")
        console.alert("t-2", card_token="token-of-card-5678")
        with serving_app(console.app, port):
            expect(page.locator("#outage")).to_be_hidden()
            expect(page.locator("tbody tr")).to_have_count(2)
            assert page.evaluate("window.kept")
