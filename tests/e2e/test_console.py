"""A real browser before the real system: from a campaign of the lab to a label that the job has read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from adapters.alerts.alert import subject_of
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.files.ground_truth import ground_truth
from cli.console import models_of, overview_of
from console.access import Access
from console.compose import compose, open_ports
from console.users import Account, Role, hash_password
from embedded.campaigns import CampaignLauncher
from embedded.demo_console import with_lab
from embedded.history import Population
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.decision.key import Subject
from fraud.settings import Settings
from tests.support.browsers import PASSWORD, accessibility_faults, chromium, signed_in
from tests.support.calendar import FIRST_DAY
from tests.support.servers import serving_app

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1200)]

POPULATION = Population(7, 200, 100, FIRST_DAY)
_CAUGHT_MS = 180_000
_LABEL_S = 180.0


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


def caught_by_the_job(stack: LocalStack) -> Subject:
    """One of the lab's only campaign that raised an alert, whatever else did."""
    ((_, sent),) = ((name, of) for name, of in ground_truth(stack.folder).read_new() if name.startswith("lab-"))
    alerted = {subject_of(item) for item in AlertTable(stack.settings.alerts, stack.settings.aws).all()}
    return min({truth.subject for truth in sent} & alerted)


def test_analyst_finds_a_campaigns_fraud_and_the_job_reads_the_label(tmp_path: Path) -> None:
    hashed = hash_password(PASSWORD)
    users = {"ann": Account(Role.ANALYST, hashed), "lee": Account(Role.LEAD, hashed)}
    with (
        LocalStack(with_lab(Settings(), POPULATION), tmp_path) as stack,
        CampaignLauncher(stack.settings) as launcher,
    ):
        run = Run(stack, lambda *_: None)
        run.start(POPULATION.arguments, 6_000)
        settings = stack.settings
        ports = open_ports(settings, overview_of(settings), models_of(settings), launcher)
        app = compose(settings, ports, Access(lambda: users, lambda: 1000.0))
        with chromium() as browser, serving_app(app) as url:
            start_campaign(browser, url)
            with signed_in(browser, url, "ann", "/queue") as page:
                caught = caught_by_the_job(stack)
                page.get_by_label("Find").fill(caught.key)
                page.get_by_label("Find").press("Enter")
                expect(page.locator("tbody tr")).to_have_count(1)
                expect(page.locator("tbody tr")).to_contain_text(caught.transaction_id)
                page.locator("tbody td").last.click()
                page.keyboard.press("Enter")
                expect(page.locator(".reasons li").first).to_be_visible()
                expect(page.get_by_role("img", name="Amounts of the card's")).to_be_visible()
                expect(page.get_by_role("img", name="Payments and alerts a day")).to_be_visible()
                assert accessibility_faults(page) == []
                page.get_by_label("Note").fill("The customer did not make this payment.")
                page.get_by_role("button", name="Add note").click()
                expect(page.locator(".history blockquote")).to_have_text("The customer did not make this payment.")
                assert page.url.rsplit("/", 1)[1] == caught.key
                page.get_by_role(
                    "button", name="Confirm fraud", exact=True
                ).click()  # a case of several has one for all
                expect(page.locator(".badge", has_text="confirmed fraud")).to_be_visible()
                archive, until = open_archive(settings.archive, settings.aws), time.monotonic() + _LABEL_S
                labelled = set[tuple[str, str]]()
                while ("fraud", "disposition") not in labelled and time.monotonic() < until:
                    rows = [row for table in archive.tables(ArchiveKind.LABELS) for row in table.to_pylist()]
                    labelled = {
                        (row["verdict"], row["source"])
                        for row in rows
                        if Subject.of(row | {"event_time": row["transaction_time"]}) == caught
                    }
                    page.wait_for_timeout(200)
        run.stop()
    assert ("fraud", "disposition") in labelled
