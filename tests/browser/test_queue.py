"""Alerts worked with the keyboard, in bulk, and by two analysts at once."""

from __future__ import annotations

import datetime as dt
import re

from playwright.sync_api import Browser, Locator, expect

from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.records import NOON
from tests.support.servers import serving_app


def test_two_analysts_work_the_queue_with_the_keyboard_and_in_bulk(settings: Settings, browser: Browser) -> None:
    console = Console(settings, "alerts-queue", undo_s=10)

    def verdicts(transaction_id: str) -> list[str]:
        """The verdicts that the stream gets when the time to undo is over."""
        console.now += dt.timedelta(seconds=11)
        console.desk.deliver()
        return [label["verdict"] for label in console.labels(transaction_id)]

    for number in range(6):
        console.alert(f"t-{number}", card_token=f"card-{number}", severity=90 - number, reasons=["<b>bold</b>"])
    path = "/queue?order=riskiest"
    with (
        serving_app(console.app) as url,
        signed_in(browser, url, "analyst", path) as ann,
        signed_in(browser, url, "lead", path) as bob,
    ):
        rows = ann.locator("tbody tr")
        expect(rows).to_have_count(6)
        expect(ann.get_by_text("<b>bold</b>").first).to_be_visible()
        ann.keyboard.press("j")
        ann.keyboard.press("j")
        expect(ann.locator("tr.chosen")).to_contain_text("t-1")
        ann.keyboard.press("m")
        expect(ann.locator("tr.chosen td").last).to_have_text("analyst")
        ann.keyboard.press("f")
        ann.keyboard.press("f")
        expect(rows).to_have_count(5)
        expect(ann.locator("tr.chosen")).to_have_count(0)
        ann.keyboard.press("u")
        expect(rows).to_have_count(6)
        expect(ann.locator("tr.chosen")).to_contain_text("t-1")
        expect(ann.locator("tr.chosen td").last).to_have_text("analyst")
        ann.keyboard.press("f")
        expect(rows).to_have_count(5)
        ann.keyboard.press("j")
        expect(ann.locator("tr.chosen")).to_contain_text("t-2")
        assert verdicts("t-1") == ["fraud"]

        # Both look at t-0; while Bob's page rests, Ann acts on it first.
        expect(bob.locator("tbody tr")).to_have_count(5)
        bob.keyboard.press("j")
        expect(bob.locator("tr.chosen")).to_contain_text("t-0")
        bob.route("**/api/alerts/cases?**", lambda route: route.abort())
        ann.locator("tr", has_text="t-0").locator("td").last.click()
        ann.keyboard.press("p")
        expect(rows).to_have_count(4)
        bob.keyboard.press("f")
        expect(bob.locator("#notices")).to_contain_text("analyst changed this alert since you saw it")
        bob.unroute("**/api/alerts/cases?**")
        expect(bob.locator("tbody tr")).to_have_count(4)
        assert verdicts("t-0") == ["legitimate"]

        ann.get_by_label("Select all on this page").check()
        expect(ann.get_by_text("4 selected")).to_be_visible()
        assert accessibility_faults(ann) == []
        ann.get_by_role("button", name="Escalate").click()
        ann.get_by_label("Note (optional)").fill("same pattern")
        assert accessibility_faults(ann) == []
        ann.get_by_role("dialog").get_by_role("button", name="Escalate").click()
        expect(ann.locator(".badge", has_text="escalated")).to_have_count(4)
        ann.get_by_label("Status").select_option("open")
        expect(ann.get_by_text("No alert fits these filters.")).to_be_visible()
        ann.get_by_label("Status").select_option("confirmed_fraud")
        expect(rows).to_have_count(1)


def test_the_alerts_of_a_card_are_one_case_that_is_closed_undone_and_extended(
    settings: Settings, browser: Browser
) -> None:
    console = Console(settings, "alerts-queue-case", undo_s=60)
    for number in range(3):
        console.alert(f"t-{number}", decided_at=NOON + dt.timedelta(minutes=number), reasons=[f"reason {number}"])
    console.alert("t-other", card_token="card-2")
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/queue?order=oldest") as page:
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(2)
        several = rows.filter(has_text="3 alerts")
        expect(several).to_contain_text("€37.02")  # three times 12.34
        expect(several).to_contain_text("reason 2")
        page.get_by_label("Select 3 alerts with t-0").check()
        console.alert("t-3", decided_at=NOON + dt.timedelta(minutes=9), reasons=["reason 3"])
        expect(rows.filter(has_text="4 alerts")).to_contain_text("reason 3")
        page.get_by_role("button", name="False positive").click()
        page.get_by_role("dialog").get_by_role("button", name="False positive").click()
        expect(rows.filter(has_text="t-3")).to_be_visible()  # it joined after the others were seen
        expect(rows.filter(has_text="alerts")).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(rows.filter(has_text="4 alerts")).to_be_visible()
        assert list(console.table.each("label_pending")) == []
        rows.filter(has_text="4 alerts").get_by_role("link").click()
        expect(
            page.get_by_text("4 alerts of this card arrived on 15 January 2026 (UTC), €49.36 together")
        ).to_be_visible()
        page.get_by_label("Tick t-3").uncheck()
        page.get_by_role("button", name="Confirm fraud (3)").click()
        page.get_by_role("dialog").get_by_role("button", name="Confirm fraud").click()
        expect(page.get_by_text("€49.36 together; 1 waits.")).to_be_visible()
        assert accessibility_faults(page) == []


def test_keys_work_where_the_focus_is_and_can_be_turned_off_and_changed_with_the_keyboard(
    settings: Settings, browser: Browser
) -> None:
    console = Console(settings, "alerts-keys", undo_s=60)
    console.alert("t-1")
    with (
        serving_app(console.app) as url,
        signed_in(browser, url, "analyst", "/queue") as page,
        signed_in(browser, url, "lead", "/queue") as lead,
    ):
        chosen, dialog = page.locator("tr.chosen"), page.get_by_role("dialog", name="Keyboard shortcuts")
        other = page.context.new_page()
        other.goto(f"{url}/queue")
        expect(other.locator(".keys")).to_contain_text("j next")
        keys, said = page.locator(".keys"), dialog.get_by_role("status")

        def shown(does: str) -> Locator:
            return dialog.get_by_role("row").filter(has=page.get_by_role("cell", name=does, exact=True))

        def press(*pressed: str) -> None:
            for one in pressed:
                page.keyboard.press(one)

        def tab_to(name: str) -> None:
            """Goes there as people without a mouse do; the dialog keeps the focus inside."""
            target = page.get_by_role("button", name=name, exact=True)
            for _ in range(60):
                press("Tab")
                if target.evaluate("(button) => button === document.activeElement"):
                    return
            raise AssertionError(f"Tab does not reach {name}")

        expect(page.locator("tbody tr")).to_have_count(1)
        tab_to("Keys")
        press("j")
        expect(chosen).to_have_count(0)

        # The overlay says what holds; a key is taken, one is reserved, one is given.
        page.get_by_label("Cases", exact=True).focus()
        press("?")
        expect(shown("confirm fraud")).to_contain_text("f")
        assert accessibility_faults(page) == []
        tab_to("Change the key of confirm fraud")
        press("Enter", "p")
        expect(said).to_have_text("p is the key of “false positive” already; give that one another first")
        press("Enter", "/")
        expect(said).to_have_text("/ cannot be a shortcut: Firefox finds in the page with it")
        press("Enter", "Control+s")
        expect(said).to_contain_text("Ctrl+s cannot be a shortcut")
        press("Enter", "Escape")
        expect(said).to_be_empty()
        expect(shown("confirm fraud")).to_contain_text("f")
        press("Enter", "Alt+Shift+C")
        expect(shown("confirm fraud")).to_contain_text("Alt+Shift+c")
        tab_to("Change the key of next case")
        press("Enter", "d")
        expect(shown("next case")).to_contain_text("d")
        assert accessibility_faults(page) == []
        press("Escape")
        expect(dialog).to_have_count(0)

        # In force at once here and in another tab, for this user alone, and after a reload; the old key does nothing.
        expect(keys).to_contain_text("d next")
        expect(other.locator(".keys")).to_contain_text("Alt+Shift+c confirm fraud")
        lead.reload()
        expect(lead.locator(".keys")).to_contain_text("j next")
        page.reload()
        expect(keys).to_contain_text("d next")
        expect(page.locator("tbody tr")).to_have_count(1)
        press("j")
        expect(chosen).to_have_count(0)
        press("d")
        expect(chosen).to_have_count(1)
        press("f")
        press("Alt+Shift+C")
        expect(page.locator("tbody tr")).to_have_count(0)
        press("u")
        expect(page.locator("tbody tr")).to_have_count(1)

        # Reset, and turned off.
        press("?")
        tab_to("Reset all")
        press("Enter")
        expect(shown("next case")).to_contain_text("j")
        dialog.get_by_label("Shortcuts are on").focus()
        press("Space")
        expect(said).to_have_text("Saved, and in force on every page.")
        press("Escape")
        expect(keys).to_be_hidden()
        version = console.table.newest("open").items[0]["version"]
        page.reload()
        expect(chosen).to_have_count(1)
        press("f", "Enter")
        expect(page).to_have_url(re.compile("/case/"))
        assert console.table.newest("open").items[0]["version"] == version
