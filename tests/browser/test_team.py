"""The lead's pages: Team, Second look, and changes of the policy that another approves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fraud.settings import Settings
from tests.contract.test_console_team import Team
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.rule_consoles import rule_console
from tests.support.servers import serving_app


@pytest.fixture(scope="module")
def approving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with rule_console(tmp_path_factory.mktemp("approving"), approval=True) as made:
        yield made


def test_lead_sees_the_team_and_an_alert_is_decided_twice(browser: Browser, settings: Settings, tmp_path: Path) -> None:
    team = Team(settings, "alerts-team-page", tmp_path)
    keys = [team.console.alert(f"t{n}") for n in range(3)]
    analyst = team.console.client("analyst")
    team.change(analyst, keys[0], "confirm_fraud")
    with serving_app(team.console.app) as url:
        with signed_in(browser, url, "lead", "/second-looks") as page:
            page.get_by_role("button", name="False positive").click()
            expect(page.get_by_text("No second look is due.")).to_be_visible()
            assert accessibility_faults(page) == []
        with signed_in(browser, url, "lead", "/team") as page:
            row = page.get_by_role("region", name="Disagreements").locator("tbody tr")
            expect(row).to_contain_text("legitimate")
            expect(page.get_by_role("region", name="By analyst").locator("tbody tr")).to_contain_text("analyst")
            assert accessibility_faults(page) == []
            with page.expect_download() as download:
                page.get_by_role("link", name="By analyst as CSV").click()
            assert download.value.path().read_text().splitlines()[1].startswith("analyst,1,1,0,1.0,")


def test_one_lead_proposes_thresholds_and_another_approves_them(browser: Browser, approving: Console) -> None:
    with serving_app(approving.app) as url:
        with signed_in(browser, url, "lead", "/rules") as page:
            page.get_by_role("form", name="Propose thresholds").get_by_role("combobox").select_option("default")
            page.get_by_label("Review from").fill("0.06")
            page.get_by_role("button", name="Propose").click()
            mine = page.get_by_role("list", name="Proposals").get_by_role("listitem")
            expect(mine).to_contain_text("Another lead must approve it.")
            expect(mine.get_by_role("button", name="Approve")).to_have_count(0)
            mine.get_by_role("button", name="Run in shadow").click()
            expect(mine).to_contain_text("in shadow")
        with signed_in(browser, url, "admin", "/rules") as page:
            proposed = page.get_by_role("list", name="Proposals")
            proposed.get_by_text("What changes").click()
            expect(proposed.get_by_text("before/policy.yaml")).to_be_visible()
            assert accessibility_faults(page) == []
            page.get_by_role("button", name="Approve").click()
            expect(page.get_by_role("list", name="History")).to_contain_text("proposed by lead")
    limits = approving.client("viewer").get("/api/rules").json()["thresholds"]
    assert {"segment": "default", "when": "everything else", "review": 0.06, "decline": 0.5} in limits
