"""Live in a real browser, on real stores, a real stream and the job's real health address."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from adapters.aws.provision import provision
from adapters.files.ground_truth import truth_file
from embedded.emulator import free_port, start_emulator
from fraud.settings import Aws, Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.overviews import Overviewed
from tests.support.records import truth, wire
from tests.support.servers import serving_app

MARKUP = "<img src=x onerror=alert(1)>"


def test_live_streams_alerts_says_that_the_archive_is_gone_and_recovers(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    emulator, url = start_emulator(tmp_path, port)
    settings = Settings(aws=Aws(endpoint_url=url))
    provision(settings)
    fraud = truth(transaction_id="t-1", is_fraud=True, campaign="mule_ring", case_id="mule_ring-1")
    truth_file(tmp_path, "demo").write_bytes(wire(fraud) + b"\n")
    system = Overviewed(settings, "live", tmp_path)
    system.decide({"transaction_id": "t-1", "outcome": "decline", "billing_amount_minor": 123_456, "reasons": [MARKUP]})
    with serving_app(system.app()) as address, signed_in(browser, address, "viewer", "/live") as page:
        rows = page.locator(".alerts tbody tr")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(MARKUP)
        expect(page.locator(".campaigns")).to_contain_text("mule ring")
        expect(page.locator(".campaigns")).to_contain_text("€1,234.56")
        assert accessibility_faults(page) == []
        system.decide({"outcome": "review", "card_token": "token-of-card-1234"}, {})
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("…1234")
        assert "token-of-card" not in page.content()
        page.evaluate("window.kept = true")
        emulator.stop()
        expect(page.get_by_text("Archive out of reach since")).to_be_visible()
        expect(rows).to_have_count(2)
        again = tmp_path / "again"
        again.mkdir()
        emulator, _ = start_emulator(again, port)
        try:
            provision(settings)
            system.decide({"outcome": "decline"})
            expect(rows).to_have_count(3)
            expect(page.get_by_text("Archive out of reach")).to_have_count(0)
            assert page.evaluate("window.kept")
        finally:
            emulator.stop()
