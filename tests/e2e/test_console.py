"""An analyst in a real browser before the real system: from streamed fraud to a label that the job has read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from adapters.archive import Archive
from cli.console import models_of
from console.access import Role, hash_password
from console.main import build
from embedded.run import Run
from embedded.stack import LocalStack
from fraud.archive_layout import ArchiveKind
from fraud.settings import Console, Settings
from ml_model.overview import ModelOverview
from tests.support.browsers import PASSWORD, accessibility_faults, chromium, listening, signed_in

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

_LABEL_S = 60.0


def test_analyst_finds_a_streamed_fraud_and_the_job_reads_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {"ann": (Role.ANALYST, hash_password(PASSWORD))}
    monkeypatch.setattr("console.main.read_users", lambda _: users)
    with LocalStack(Settings(console=Console(folder=str(tmp_path / "index"))), tmp_path / "run") as stack:
        run = Run(stack, lambda *_: None)
        run.start(["--cards", "200", "--merchants", "100"], 6_000)
        settings = stack.settings
        app = build(settings, tmp_path, ModelOverview(settings), models_of(settings), secure=False)
        with chromium() as browser, listening(app) as url, signed_in(browser, url, "ann", "/queue") as page:
            page.get_by_label("Order").select_option("riskiest")
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
            page.get_by_role("button", name="Confirm fraud").click()
            expect(page.locator(".badge", has_text="confirmed fraud")).to_be_visible()
            archive, until = Archive(settings), time.monotonic() + _LABEL_S
            labels: list[dict[str, str]] = []
            while not labels and time.monotonic() < until:
                rows = [row for table in archive.tables(ArchiveKind.LABELS) for row in table.to_pylist()]
                labels = [row for row in rows if row["transaction_id"] == transaction]
                page.wait_for_timeout(200)
        run.stop()
    assert ("fraud", "disposition") in {(label["verdict"], label["source"]) for label in labels}
