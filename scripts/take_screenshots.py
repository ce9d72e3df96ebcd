"""Takes the pictures of the console in `docs/images`, from a real run: `make screenshots`.

Needs Chromium. For two minutes the whole stack streams, campaigns are started in the lab, then every page is taken in
light and dark.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from playwright.sync_api import Browser

from adapters.program.configuration import load_settings
from adapters.program.program import run_program
from cli.demo import demo_population
from console.users import Role, add_user
from embedded.demo_console import with_lab
from embedded.emulator import answers, free_port
from embedded.history import History
from embedded.model_endpoint import through_endpoint
from embedded.run import Run
from embedded.stack import LocalStack
from embedded.tally import RunTally
from fraud.errors import FatalError
from tests.support.browsers import launched

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PAGES = {
    "live": ("/live", ".alerts tbody tr"),
    "queue": ("/queue", "tbody tr"),
    "case": ("", ".panel"),  # of the newest alert
    "system": ("/system", ".dead-letters"),
    "find": ("/find", "input"),
    "lists": ("/lists", "tbody tr"),
    "rules": ("/rules", "p:has-text('decisions from')"),
    "editor": ("/rules/new", ".cm-field"),
    "model": ("/model", ".panel"),
    "lab": ("/lab", ".run"),
    "team": ("/team", "tbody tr"),
}
"""The picture's name, the page's address, and what is there once it shows something."""

_CAMPAIGNS = ("card_testing", "stolen_card")
_LAB_S = 30.0
_SETTLE_MS = 3_000
_RATE = 150
_BEGIN = 1_000


class Photographer:
    """Starts campaigns and takes pictures at their times, as a run goes on.

    Args:
        browser: takes the pictures.
        url: of the console.
        password: of its user `ann`.
        seconds: of streaming, after which pictures are taken.
    """

    def __init__(self, browser: Browser, url: str, password: str, seconds: float) -> None:
        self._browser = browser
        self._url = url
        self._password = password
        self._seconds = seconds
        self._began: float | None = None
        self._attacked = False
        self.done = False

    def look(self, _: RunTally, stage: str, __: float) -> None:
        """Called again and again while the run goes on."""
        if stage != "streaming" or self.done:
            return
        self._began = self._began or time.monotonic()
        passed = time.monotonic() - self._began
        if passed > self._seconds - _LAB_S and not self._attacked:
            self._attacked = True
            self._attack()
        if passed > self._seconds:
            for scheme in ("light", "dark"):
                self._take(scheme)
            self.done = True

    def _attack(self) -> None:
        with self._browser.new_context(base_url=self._url) as context:
            signed_in = context.request.post("/api/session", data={"name": "ann", "password": self._password}).json()
            for campaign in _CAMPAIGNS:
                started = context.request.post(
                    "/api/lab/runs", data={"campaign": campaign}, headers={"X-CSRF-Token": signed_in["csrf"]}
                )
                assert started.ok, started.text()

    def _take(self, scheme: str) -> None:
        look = {"color_scheme": scheme, "viewport": {"width": 1440, "height": 900}, "locale": "en-GB"}
        with self._browser.new_context(base_url=self._url, **look) as context:  # type: ignore[arg-type]
            context.request.post("/api/session", data={"name": "ann", "password": self._password})
            page = context.new_page()
            case = ""
            for name, (address, shows) in PAGES.items():
                page.goto(address or case)
                page.locator(f"main .page {shows}").first.wait_for(timeout=60_000)
                page.wait_for_timeout(_SETTLE_MS)
                if name == "live":
                    case = page.locator(".alerts a").first.get_attribute("href") or ""
                page.screenshot(path=IMAGES / f"console-{name}-{scheme}.png")
                print(f"docs/images/console-{name}-{scheme}.png")


def main() -> None:
    """Runs the stack and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of streaming before the pictures are taken")
    seconds = parser.parse_args().seconds
    IMAGES.mkdir(parents=True, exist_ok=True)
    population = demo_population()
    settings = with_lab(through_endpoint(load_settings(None, {})), population)
    history = History(settings, population)
    with launched() as browser, LocalStack(settings, ROOT / ".local" / "screenshots") as stack:
        users, port = stack.folder / "users.json", free_port()
        password = add_user(users, "ann", Role.LEAD)
        console, url = stack.start_console(users, port), f"http://127.0.0.1:{port}"
        console.wait_until(lambda: answers(url), 300.0)
        photographer = Photographer(browser, url, password, seconds)
        history.backfill(stack.settings)
        run = Run(stack, photographer.look, history.transactions, history.compromised)
        source = population.arguments
        run.start(source, _BEGIN, meanwhile=lambda: history.keep(stack.settings))
        run.stream(source, ["--num-transactions", "0", "--rate", str(_RATE)], seconds + 5.0)
    if not photographer.done:
        raise FatalError("the run ended before the pictures were taken")


if __name__ == "__main__":
    run_program(main)
