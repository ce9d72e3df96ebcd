"""The console's modules by themselves, in a real browser: formats, scales, text, the graph, what keeps focus."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from console.access import Access
from console.api import build_app
from tests.support.consoles import DOOR, USERS
from tests.support.servers import serving_app

NONE = "\N{EN DASH}"
"""Stands for what is not known."""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The page before anybody signed in: modules need no more."""
    app = build_app(Access(lambda: USERS, lambda: 1000.0), [], {}, door=DOOR)
    with serving_app(app) as url, browser.new_context(locale="en-GB", timezone_id="Europe/Berlin") as context:
        opened = context.new_page()
        opened.goto(url)
        yield opened


def run(page: Page, module: str, body: str, given: Any = None) -> Any:
    """What a function over a module gives: `m` is the module, `given` what is handed over."""
    script = f"async (given) => {{ const m = await import('/static/{module}.js'); {body} }}"
    return page.evaluate(script, given)


def test_times_and_amounts_are_written_for_people(page: Page) -> None:
    durations = {45_000: "45 s", 720_000: "12 min", 12_000_000: "3 h 20 min", 7_200_000: "2 h", 432_000_000: "5 d"}
    assert run(page, "format", "return given.map(m.duration)", list(durations)) == list(durations.values())
    assert run(page, "format", "return [0, 140.4, 1500, null].map(m.latency)") == ["0 ms", "140 ms", "1.5 s", NONE]
    written = run(
        page,
        "format",
        "m.useMinorDigits({ JPY: 0, EUR: 2 });"
        "return [m.money(1234, 'JPY'), m.money(1234, 'EUR'), m.money(1, 'EUR'), m.money(null, 'EUR'), m.digits('XXX')]",
    )
    assert written == ["JP¥1,234", "€12.34", "€0.01", NONE, 2]
    assert run(
        page, "format", "return [m.number(1234.56, 1), m.number(null), m.percent(0.1234), m.percent(undefined)]"
    ) == [
        "1,234.6",
        NONE,
        "12.3%",
        NONE,
    ]
    assert run(page, "format", "return [m.country('DE'), m.country('??'), m.channel('pos'), m.words('a_b_c')]") == [
        "Germany",
        "??",
        "in a shop",
        "a b c",
    ]


def test_ticks_are_round_rising_and_inside_whatever_the_range(page: Page) -> None:
    chance = random.Random(7)
    ranges = [
        (low, low + 10 ** chance.uniform(-3, 9), chance.randint(2, 12))
        for low in (chance.uniform(-(10**6), 10**6) for _ in range(300))
    ]
    for (low, high, count), found in zip(
        ranges, run(page, "chart", "return given.map((one) => m.ticks(...one))", ranges), strict=True
    ):
        steps = {round((b - a) / (high - low), 6) for a, b in itertools.pairwise(found)}
        assert found == sorted(set(found))
        assert all(low - 1e-6 <= tick <= high + (high - low) * 1e-6 + 1e-6 for tick in found)
        assert len(found) <= count + 1
        assert len(steps) <= 2, "one step, but for rounding"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.example/b?c=1 and https://d.example", ["https://a.example/b?c=1", "https://d.example"]),
        ("http://a.example javascript:alert(1) <a href='https://e.example'>", ["https://e.example"]),
        ("<img src=x onerror=alert(1)>", []),
        ("", []),
    ],
)
def test_only_https_addresses_become_links_and_text_stays_text(page: Page, text: str, links: list[str]) -> None:
    found = run(
        page,
        "dom",
        "const box = m.h('p', {}, m.linked(given));"
        "return [box.textContent, [...box.children].map((one) => [one.tagName, one.getAttribute('href'), one.rel])]",
        text,
    )
    assert found == [text, [["A", link, "noopener noreferrer"] for link in links]]


def test_addresses_leave_out_what_is_empty_and_repeat_lists(page: Page) -> None:
    given = {"a": "x y", "b": None, "c": "", "d": [1, 2], "e": 0}
    assert run(page, "api", "return m.address('/alerts', given)", given) == "/alerts?a=x+y&d=1&d=2&e=0"
    assert run(page, "api", "return m.address('/alerts')") == "/alerts"


def test_redrawing_keeps_the_focus_on_what_it_was_on(page: Page) -> None:
    kept = run(
        page,
        "dom",
        """const box = m.h('div', {}); document.body.append(box);
        const draw = (names) => m.redraw(box, names.map((name) => m.h('button', { 'data-key': name }, name)));
        draw(['a', 'b', 'c']); box.querySelector('[data-key=b]').focus(); draw(['c', 'b']);
        const focused = document.activeElement.dataset.key; draw(['a']);
        const gone = box.contains(document.activeElement); box.remove(); return [focused, gone];""",
    )
    assert kept == ["b", False]


def test_a_graph_lies_inside_its_frame_the_same_each_time_and_joins_without_doubles(page: Page) -> None:
    nodes = [{"key": f"n{n}", "kind": "card", "payments": n} for n in range(60)]
    links = [{"card": f"n{n}", "to": f"n{n // 3}", "payments": 1} for n in range(1, 60)]
    graph = {"root": "n0", "nodes": nodes, "links": links, "more": False}
    one, other = (run(page, "graph", "return m.places(given.nodes, given.links)", graph) for _ in range(2))
    assert one == other
    assert all(40 <= place["x"] <= 680 and 40 <= place["y"] <= 380 for place in one)
    assert run(page, "graph", "return m.joined(given, given)", graph) == graph
    more = {**graph, "nodes": [node | {"key": f"m{node['key']}"} for node in nodes * 3], "more": True}
    joined = run(page, "graph", "return m.joined(...given)", [graph, more])
    assert (joined["root"], joined["more"], len(joined["nodes"])) == ("n0", True, 120)
