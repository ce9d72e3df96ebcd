"""System in a real browser, on real stores, a real stream and the job's real health address."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from adapters.program import metrics
from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.overviews import Overviewed
from tests.support.servers import serving_app

MARKUP = "<img src=x onerror=alert(1)>"


def test_system_fills_itself_when_the_job_comes_and_replays_what_a_lead_chooses(
    browser: Browser, settings: Settings
) -> None:
    system = Overviewed(settings, "system")
    system.telemetry.set(metrics.SOURCE_LAG_MS, 250, "fraud-transactions", "shard-7")
    system.refuse({"sequence_number": "1", "data": MARKUP.encode()}, {"sequence_number": "2", "reason": "duplicate"})
    with serving_app(system.app()) as address, signed_in(browser, address, "lead", "/system", scheme="dark") as page:
        expect(page.get_by_text("Job out of reach since")).to_be_visible()
        with system.job():
            expect(page.get_by_text("shard-7")).to_be_visible()
            system.telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count([0.4]), 0.4, "triggerExecution")
            expect(page.get_by_text("whole trigger, p99").first).to_be_visible()
            page.get_by_role("button", name="shard-0/1/0").click()
            expect(page.get_by_text(MARKUP)).to_be_visible()
            assert accessibility_faults(page) == []
            page.get_by_label("Choose fraud-transactions/shard-0/1/0").check()
            page.get_by_role("button", name="Replay 1 chosen").click()
            expect(page.get_by_text("1 replayed, 0 left alone.")).to_be_visible()
            expect(page.locator(".dead-letters .badge.good")).to_have_count(1)
        expect(page.get_by_text("Job out of reach since")).to_be_visible()
    with serving_app(system.app()) as address, signed_in(browser, address, "viewer", "/system", width=390) as page:
        expect(page.locator(".dead-letters tbody tr")).to_have_count(2)
        expect(page.get_by_role("button", name="Replay")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
