"""The lab in a real browser, on a real archive and a real stream, with the real producer."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from playwright.sync_api import Browser, expect

from embedded.campaigns import CampaignLauncher
from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.overviews import Overviewed
from tests.support.servers import serving_app


def test_lab_starts_a_campaign_and_shows_when_it_was_found(
    browser: Browser, settings: Settings, tmp_path: Path
) -> None:
    lab = settings.console.model_copy(update={"lab_cards": 60, "lab_merchants": 60, "ground_truth": str(tmp_path)})
    located = settings.model_copy(update={"console": lab})
    with CampaignLauncher(located) as launcher:
        system = Overviewed(located, "lab", tmp_path, launcher)
        with serving_app(system.app()) as address, signed_in(browser, address, "lead", "/lab") as page:
            page.get_by_label("Campaign").select_option("card testing")
            expect(page.get_by_text("online merchant")).to_be_visible()
            page.get_by_label("Pace").select_option("an hour a second")
            page.get_by_role("button", name="Start the campaign").click()
            expect(page.get_by_text("sent whole")).to_be_visible()
            (file,) = tmp_path.glob("lab-*-truth.jsonl")
            first = json.loads(file.read_text().splitlines()[0])
            named = {name: first[name] for name in ("transaction_id", "card_token")}
            named |= {"event_time": dt.datetime.fromisoformat(first["event_time"])}
            system.decide(named | {"outcome": "decline", "billing_amount_minor": 700})
            run = page.locator(".run")
            expect(run).to_contain_text("first transaction sent to first alert")
            expect(run).to_contain_text("1 of 1 decided")
            expect(run).to_contain_text("€7.00")
            assert accessibility_faults(page) == []
        with serving_app(system.app()) as address, signed_in(browser, address, "analyst", "/lab") as page:
            expect(page.get_by_text("A lead or an admin starts campaigns")).to_be_visible()
            expect(page.get_by_role("button", name="Start the campaign")).to_have_count(0)
