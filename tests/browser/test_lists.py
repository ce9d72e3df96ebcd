"""Lists, and blocking from a case: what is said of the effect, and what the store has afterwards."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, expect

from fraud.settings import Policy, Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.records import NOON
from tests.support.servers import serving_app

POLICY = {"thresholds": {}, "lists": [{"name": "blocked-cards", "kind": "block", "of": "card", "entries": ["tok-own"]}]}


@pytest.fixture
def console(settings: Settings, tmp_path: Path) -> Console:
    """An alert on a card, with two payments after it."""
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY))
    made = Console(settings.model_copy(update={"policy": Policy(path=str(file))}), "alerts-lists")
    card = {"card_token": "tok-1", "merchant_id": "m-1", "device_id": None}
    made.archived(
        *(
            card | {"transaction_id": f"t-{n}", "event_time": NOON + dt.timedelta(minutes=n), "outcome": outcome}
            for n, outcome in enumerate(("review", "approve", "decline"))
        )
    )
    made.alert("t-0", **card)
    made.queue.reload()
    return made


def test_a_card_is_blocked_from_its_case_and_worked_on_the_lists_page(
    console: Console, browser: Browser, tmp_path: Path
) -> None:
    (subject,) = console.queue.of_transaction("t-0")
    with serving_app(console.app) as url:
        with signed_in(browser, url, "analyst", f"/case/{subject.key}") as page:
            act = page.locator(".act", has_text="tok-1")
            expect(act).to_contain_text("Block: 2 payments since: 1 would have been declined (€12.34).")
            expect(page.get_by_role("button", name="Allow card")).to_be_disabled()
            page.get_by_role("button", name="Block card").click()
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text("1 would have been declined")
            assert accessibility_faults(page) == []
            dialog.get_by_label("How long").select_option("7 days")
            dialog.get_by_label("Reason").fill("stolen")
            dialog.get_by_role("button", name="Block").click()
            expect(act.get_by_role("listitem")).to_contain_text("analyst: stolen")
            assert accessibility_faults(page) == []
            assert "tok-1" not in page.url
        with signed_in(browser, url, "lead", "/lists", scheme="dark", width=390) as page:
            page.get_by_role("link", name="blocked-cards").click()
            entries = page.get_by_role("region", name="Entries")
            expect(entries.locator("tbody tr")).to_have_count(2)
            expect(entries.locator("tbody tr").first).to_contain_text("stolen")
            assert accessibility_faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            form = page.get_by_role("form", name="Add an entry")
            form.get_by_label("Value").fill("tok-2")
            form.get_by_label("Reason").fill("asked by the bank")
            form.get_by_role("button", name="Add").click()
            expect(entries.locator("tbody tr")).to_have_count(3)
            page.get_by_text("Import CSV").click()
            (tmp_path / "more.csv").write_text("value,expires,note\ntok-3,2099-01-01,from a file\n")
            importing = page.get_by_role("form", name="Import")
            importing.get_by_label("CSV").set_input_files(tmp_path / "more.csv")
            importing.get_by_label("Reason").fill("monthly")
            importing.get_by_role("button", name="Import").click()
            expect(entries.locator("tbody tr", has_text="from a file")).to_be_visible()
            page.get_by_label("Find").fill("own")
            page.get_by_role("button", name="Find").click()
            expect(entries.locator("tbody tr")).to_have_count(1)
            assert "own" not in page.url
            page.get_by_label("Select tok-own").check()
            page.get_by_role("button", name="Take 1 off").click()
            page.get_by_role("dialog").get_by_label("Reason").fill("no longer")
            page.get_by_role("dialog").get_by_role("button", name="Take off").click()
            expect(page.locator(".history li", has_text="took 1 off")).to_contain_text("no longer")
            with page.expect_download() as saved:
                page.get_by_role("link", name="Export CSV").click()
            text = Path(saved.value.path()).read_text()
            assert [line.split(",")[0] for line in text.splitlines()] == ["value", "tok-1", "tok-2", "tok-3"]
