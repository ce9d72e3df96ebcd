"""The pages Rules and Model."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browsers import accessibility_faults, signed_in, write
from tests.support.consoles import Console
from tests.support.rule_consoles import DRAFT, rule_console
from tests.support.servers import serving_app


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with rule_console(tmp_path_factory.mktemp("rules")) as made:
        yield made


def test_lead_writes_a_rule_tries_it_and_brings_it_into_effect(console: Console, browser: Browser) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "lead", "/rules") as page:
        page.get_by_role("button", name="Write a rule").click()
        draft = page.get_by_label("The draft, as a YAML rule file")
        write(draft, DRAFT.replace("card_declines_24h >=", "card_declined_24h >="))
        expect(page.get_by_text("unknown field")).to_be_visible()
        expect(page.get_by_role("button", name="Run the backtest")).to_be_disabled()
        write(draft, DRAFT)
        expect(page.get_by_text("No faults.")).to_be_visible()
        page.get_by_label("Days back").fill("400")
        page.get_by_role("button", name="Run the backtest").click()
        compared = page.get_by_role("row", name="frauds caught")
        expect(compared).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the whole report").click()
        assert download.value.suggested_filename == "backtest.html"
        page.get_by_role("button", name="Save the draft").click()
        page.get_by_role("button", name="Run in shadow", exact=True).click()
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Make live", exact=True).click()
        expect(page.get_by_text("few-refusals is live now.")).to_be_visible()
        row = page.get_by_label("The rule pack").get_by_role("row", name="few-refusals")
        expect(row).to_contain_text("live")
        page.get_by_label("Percent of cards").fill("10")
        page.get_by_role("button", name="Roll out").click()
        expect(page.get_by_text("few-refusals is about 10 % of cards now.")).to_be_visible()
        page.get_by_role("button", name="Write a rule").click()
        write(draft, DRAFT)
        expect(page.get_by_text("give the draft another id")).to_be_visible()
        expect(page.locator(".cm-lintRange-error")).to_have_text(re.compile("few"))


def test_the_editor_completes_fields_and_marks_the_line_of_a_fault(console: Console, browser: Browser) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/rules/new") as page:
        draft = page.get_by_label("The draft, as a YAML rule file")
        expect(page.locator(".cm-field").first).to_have_text("card_declines_1h")
        # Another test makes few-refusals live, whose id no draft may have again.
        text = DRAFT.replace("few-refusals", "many-refusals")
        write(draft, text.replace("card_declines_24h >=", "card_declined_24h >="))
        marked = page.locator(".cm-lintRange-error")
        expect(marked).to_have_text("card_declined_24h")
        draft.press("Control+Home")
        for _ in range(3):
            draft.press("ArrowDown")
        draft.press("End")
        draft.type(" AND card_declines_1")
        offered = page.get_by_role("option", name="card_declines_1h")
        expect(offered).to_be_visible()
        draft.press("Control+Space")
        assert accessibility_faults(page) == []


def test_a_suggestion_is_backtested_with_one_click_and_kept_in_the_history(console: Console, browser: Browser) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "lead", "/rules") as page:
        page.get_by_role("button", name="Look for some").click()
        page.get_by_role("button", name=re.compile("^Backtest .*: review from")).click()
        expect(page.get_by_role("row", name="frauds caught")).to_be_visible()
        assert "/rules/run/" in page.url
        page.reload()
        expect(page.get_by_role("row", name="frauds caught")).to_be_visible()
        history = page.get_by_role("region", name="Backtests, newest first")
        expect(history.get_by_role("row", name="thresholds of")).to_contain_text("done")
        assert accessibility_faults(page) == []
        page.get_by_role("button", name=re.compile("^Propose .*: review from")).click()
        expect(page.get_by_text("It is proposed, see Changes.")).to_be_visible()
        page.get_by_role("button", name=re.compile("^Run in shadow: thresholds of")).click()
        pack = page.get_by_label("The rule pack")
        expect(pack.get_by_role("row", name="thresholds: review")).to_contain_text("shadow")
        assert accessibility_faults(page) == []
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("It is in effect.")).to_be_visible()
        expect(pack.get_by_role("row", name="thresholds: review")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_in_both_themes(console: Console, browser: Browser, scheme: str) -> None:
    with serving_app(console.app) as url, signed_in(browser, url, "lead", "/rules", scheme=scheme) as page:
        expect(page.get_by_text("decisions from")).to_be_visible()
        page.get_by_role("link", name="card-declines-24h").click()
        expect(page.get_by_role("heading", name="card-declines-24h")).to_be_visible()
        assert accessibility_faults(page) == []
        page.get_by_role("link", name="Copy into a draft").click()
        expect(page.get_by_text("No faults.")).to_be_visible()
        assert accessibility_faults(page) == []
        page.goto(f"{url}/model")
        page.get_by_label("Evaluate decisions").select_option(label="of any age")
        expect(page.get_by_role("heading", name="Reliability")).to_be_visible()
        assert accessibility_faults(page) == []


def test_every_shipped_rule_can_be_copied_into_a_draft_without_faults(console: Console, browser: Browser) -> None:
    rules = [rule["id"] for rule in console.client("viewer").get("/api/rules").json()["rules"]]
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", "/rules") as page:
        for rule in [*rules[::9], "card-count-10m"]:
            page.goto(f"{url}/rules/{rule}/edit")
            expect(page.get_by_text("No faults.")).to_be_visible()
        expect(page.get_by_role("button", name="Save the draft")).to_have_count(0)
