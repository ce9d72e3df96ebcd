"""A real browser before the real system: from a campaign of the lab to a label that the job has read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from adapters.archive import Archive
from cli.console import models_of
from console.access import Role, hash_password
from console.main import build
from embedded.campaigns import CampaignLauncher
from embedded.demo_console import with_lab
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.archive_layout import ArchiveKind
from fraud.settings import Settings
from ml_model.overview import ModelOverview
from tests.support.browsers import PASSWORD, accessibility_faults, chromium, listening, signed_in

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

_CARDS, _MERCHANTS = 200, 100
_CAUGHT_MS = 90_000
_LABEL_S = 60.0


def start_campaign(browser: Browser, url: str) -> None:
    """A lead starts a campaign in the lab and waits until some of its transactions have raised alerts."""
    with signed_in(browser, url, "lee", "/lab") as page:
        page.get_by_label("Campaign").select_option("card testing")
        page.get_by_label("Cases").fill("3")
        page.get_by_label("Pace").select_option("an hour a second")
        page.get_by_role("button", name="Start the campaign").click()
        run = page.locator(".run")
        expect(run).to_contain_text("sent whole", timeout=_CAUGHT_MS)
        expect(run).to_contain_text("first transaction sent to first alert", timeout=_CAUGHT_MS)


def sent_by_the_lab(folder: Path) -> set[str]:
    """The transactions of its only campaign."""
    (file,) = folder.glob("lab-*-truth.jsonl")
    return {json.loads(line)["transaction_id"] for line in file.read_text().splitlines()}


def test_analyst_finds_a_campaigns_fraud_and_the_job_reads_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = hash_password(PASSWORD)
    users = {"ann": (Role.ANALYST, hashed), "lee": (Role.LEAD, hashed)}
    monkeypatch.setattr("console.main.read_users", lambda _: users)
    with (
        LocalStack(with_lab(Settings(), _CARDS, _MERCHANTS), tmp_path) as stack,
        CampaignLauncher(stack.settings) as launcher,
    ):
        run = Run(stack, lambda *_: None)
        run.start(["--cards", str(_CARDS), "--merchants", str(_MERCHANTS)], 6_000)
        settings = stack.settings
        app = build(settings, tmp_path, ModelOverview(settings), models_of(settings), launcher, secure=False)
        with chromium() as browser, listening(app) as url:
            start_campaign(browser, url)
            with signed_in(browser, url, "ann", "/queue") as page:
                expect(page.locator("tbody tr").first).to_be_visible()
                page.locator("h1").click()
                page.keyboard.press("j")
                page.keyboard.press("Enter")
                expect(page.locator(".reasons li").first).to_be_visible()
                expect(page.get_by_role("img", name="Amounts of the card's latest")).to_be_visible()
                expect(page.get_by_role("img", name="Payments and alerts a day")).to_be_visible()
                assert accessibility_faults(page) == []
                page.get_by_label("Note").fill("The customer did not make this payment.")
                page.get_by_role("button", name="Add note").click()
                expect(page.locator(".history blockquote")).to_have_text("The customer did not make this payment.")
                transaction = page.url.rsplit("/", 1)[1]
                assert transaction in sent_by_the_lab(stack.folder)
                page.get_by_role("button", name="Confirm fraud").click()
                expect(page.locator(".badge", has_text="confirmed fraud")).to_be_visible()
                archive, until = Archive(settings), time.monotonic() + _LABEL_S
                labelled = set[tuple[str, str]]()
                while ("fraud", "disposition") not in labelled and time.monotonic() < until:
                    rows = [row for table in archive.tables(ArchiveKind.LABELS) for row in table.to_pylist()]
                    labelled = {(row["verdict"], row["source"]) for row in rows if row["transaction_id"] == transaction}
                    page.wait_for_timeout(200)
        run.stop()
    assert ("fraud", "disposition") in labelled
