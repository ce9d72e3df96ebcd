"""The page Audit."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from adapters.audit.chain import AuditChain
from adapters.objects.folder import FolderObjects
from console.access import Access, Role
from console.api import build_app
from console.pages import Page
from console.routes.audit import audit_router
from console.services.audit import AuditDesk
from console.services.background import Background
from fraud.audit import Entry
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import DOOR, USERS
from tests.support.records import NOON
from tests.support.servers import serving_app


def test_lead_searches_exports_and_sees_that_a_line_was_changed(browser: Browser, tmp_path: Path) -> None:
    chain = AuditChain(FolderObjects(tmp_path))
    at_ms = int(NOON.timestamp() * 1000)
    chain.append([Entry(at_ms + n, "ann" if n % 3 else "bob", "escalate", f"case-{n}") for n in range(150)])
    now_ms = [at_ms]
    desk = AuditDesk(chain, Background(lambda: now_ms[0]))
    app = build_app(
        Access(lambda: USERS, lambda: 1000.0), [Page("audit", "Audit", Role.LEAD, audit_router(desk))], {}, door=DOOR
    )
    with serving_app(app) as url, signed_in(browser, url, "lead", "/audit") as page:
        expect(page.get_by_text("chain unbroken")).to_be_visible()
        rows = page.get_by_role("region", name="Lines").locator("tbody tr")
        expect(rows).to_have_count(100)
        page.get_by_role("button", name="Earlier lines").click()
        expect(rows).to_have_count(150)
        page.get_by_label("User").fill("bob")
        page.get_by_label("User").press("Enter")
        expect(rows).to_have_count(50)
        with page.expect_download() as download:
            page.get_by_role("link", name="Export as CSV").click()
        assert len(download.value.path().read_text().splitlines()) == 51
        assert accessibility_faults(page) == []
        file = tmp_path / "audit" / "000000000001.jsonl"
        file.write_text(file.read_text().replace("case-77", "case-78", 1))
        now_ms[0] += 60_001
        expect(page.get_by_text("line 78 (audit/000000000001.jsonl)")).to_be_visible()
