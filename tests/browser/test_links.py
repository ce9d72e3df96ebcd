"""The graph of a case: expanded, read without seeing it, and a ring taken into the case."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from fraud.settings import Settings
from tests.support.browsers import accessibility_faults, signed_in
from tests.support.consoles import Console
from tests.support.servers import serving_app


def test_a_ring_is_seen_in_the_graph_and_taken_into_the_case(settings: Settings, browser: Browser) -> None:
    console = Console(settings, "alerts-links")
    rows = [
        {
            "transaction_id": f"t-{n}",
            "card_token": f"tok-{n}",
            "customer_id": f"c-{n}",
            "device_id": device,
            "merchant_id": f"m-{n}",
        }
        for n, device in enumerate(("d-1", "d-1", "d-2"))
    ]
    bridge = rows[1] | {"transaction_id": "t-bridge", "device_id": "d-2", "outcome": "approve"}
    console.archived(*(row | {"outcome": "review"} for row in rows), bridge)
    keys = [console.alert(row["transaction_id"], **row) for row in rows]
    console.queue.reload()
    with serving_app(console.app) as url, signed_in(browser, url, "analyst", f"/case/{keys[0]}") as page:
        graph = page.get_by_role("group", name="Links between cards")
        expect(graph.get_by_role("button", name="card tok-1")).to_be_visible()
        expect(graph.get_by_role("button", name="card tok-2")).to_have_count(0)
        page.get_by_text("Cards (2)").click()
        graph.get_by_role("button", name="card tok-1").focus()
        page.keyboard.press("Enter")
        graph.get_by_role("button", name="device d-2").click()
        expect(graph.get_by_role("button", name="card tok-2: 1 payments, 1 alerts, €12.34, open")).to_be_visible()
        expect(page.get_by_label("Take card tok-2 into this case")).to_be_visible()  # the list stays open as it grows
        assert accessibility_faults(page) == []
        page.get_by_label("Take card tok-1 into this case").check()
        page.get_by_label("Take card tok-2 into this case").check()
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 390, "height": 800})
        assert accessibility_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.get_by_role("button", name="Take 2 into this case").click()
        expect(
            page.get_by_text("3 alerts of 3 cards, taken together by hand, €37.02 together; 3 wait.")
        ).to_be_visible()
    assert {item["joint_case"] for item in console.table.each("open")} != {None}
