"""Work handed on, put off, marked and come back to."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.servers import serving_app


def test_a_lead_hands_out_work_and_an_analyst_takes_the_next_marks_it_and_closes_it(
    settings: Settings, browser: Browser
) -> None:
    console = Console(settings, "alerts-flow")
    for number in range(3):
        console.alert(f"t-{number}", card_token=f"card-{number}", severity=99 - number)
    console.queue.reload()
    with (
        serving_app(console.app) as url,
        signed_in(browser, url, "lead", "/queue?order=oldest") as lead,
        signed_in(browser, url, "analyst", "/queue") as page,
    ):
        expect(lead).to_have_title("(3) Queue · Fraud console")
        lead.get_by_label("Select t-1").check()
        lead.get_by_label("Assign to…").select_option("analyst")
        lead.get_by_role("dialog").get_by_role("button", name="Assign to me").click()
        expect(lead.locator("tbody tr", has_text="t-1")).to_contain_text("analyst")
        lead.get_by_label("Select t-2").check()
        lead.locator("tbody tr", has_text="t-2").locator("td").last.click()
        expect(lead.locator("tr.chosen")).to_contain_text("t-2")
        lead.reload()
        expect(lead.locator("tr.chosen")).to_contain_text("t-2")
        expect(lead.get_by_label("Select t-2")).to_be_checked()
        lead.get_by_role("button", name="Save view").click()
        lead.get_by_role("dialog").get_by_label("Name").fill("old ones")
        lead.get_by_role("dialog").get_by_role("button", name="Save").click()
        lead.get_by_role("button", name="Clear", exact=True).click()
        expect(lead).to_have_url(f"{url}/queue")
        lead.get_by_role("combobox", name="View").select_option("old ones")
        expect(lead).to_have_url(f"{url}/queue?order=oldest")
        assert accessibility_faults(lead) == []

        page.get_by_role("button", name="Next for me").click()
        expect(page.locator("dl", has_text="t-1").first).to_be_visible()
        page.get_by_role("button", name="Tags").click()
        page.get_by_role("dialog").get_by_label("Tags").last.fill("ring-7 called")
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.locator(".case-head").get_by_role("link", name="ring-7")).to_be_visible()
        page.get_by_label("Note").fill("half a thought")
        page.reload()
        expect(page.get_by_label("Note")).to_have_value("half a thought")
        assert accessibility_faults(page) == []
        page.get_by_label("Fraud of type…").select_option("account takeover")
        expect(page.locator(".badge", has_text="account takeover")).to_be_visible()
        page.get_by_role("button", name="Next for me").click()
        expect(page.locator("dl", has_text="t-0").first).to_be_visible()
        expect(page.get_by_text("analyst works on it")).to_be_visible()
        page.get_by_label("Snooze…").select_option("4 hours")
        expect(page.locator(".badge", has_text="snoozed until")).to_be_visible()
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        expect(lead.locator("tbody tr")).to_have_count(1)
        lead.get_by_label("Snoozed").select_option("snoozed")
        expect(lead.locator("tbody tr")).to_contain_text("t-0")
    (closed,) = console.table.newest("confirmed_fraud").items
    assert (closed["transaction_id"], closed["fraud_type"], closed["tags"]) == (
        "t-1",
        "account_takeover",
        ["ring-7", "called"],
    )


@pytest.mark.long
def test_news_are_said_where_one_asked_for_them(settings: Settings, browser: Browser) -> None:
    console = Console(settings, "alerts-news")
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/find") as page:
        page.get_by_role("button", name="News: off").click()
        with page.expect_response(lambda answer: answer.url.endswith("/api/alerts/facets")):
            pass
        console.alert("t-1", card_token="card-1", outcome="decline")
        console.queue.reload()
        expect(page.get_by_text("New alerts: 1 to decline.")).to_be_visible()
        expect(page).to_have_title(re.compile("^• 1 new · "))
        assert accessibility_faults(page) == []
        page.get_by_role("button", name="Newest").click()
        expect(page.locator("tbody tr", has_text="t-1")).to_be_visible()
