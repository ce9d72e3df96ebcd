"""A real headless Chromium before a console that really listens; `tests/browser/conftest.py` makes fixtures of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from fraud.errors import MisconfiguredError

PASSWORD = "a password for tests"
WAIT_MS = 60_000.0
"""Longest wait for what a page shall show; a busy machine is slow."""

_PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Root has no sandbox; the rest keeps Chromium from calling home."""


MISSING = "no Chromium; `make setup` as root installs it"


def is_installed() -> bool:
    """Whether there is a Chromium."""
    return _PROGRAM is not None


@contextmanager
def chromium() -> Iterator[Browser]:
    """Starts Chromium; the test skips where none is installed."""
    if not is_installed():
        pytest.skip(MISSING)
    with launched() as browser:
        yield browser


@contextmanager
def launched() -> Iterator[Browser]:
    """Starts Chromium for a program that is no test.

    Raises:
        MisconfiguredError: none is installed.
    """
    if _PROGRAM is None:
        raise MisconfiguredError("Chromium", "is missing; `make setup` as root installs it")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PROGRAM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def signed_in(
    browser: Browser,
    url: str,
    user: str,
    path: str = "/",
    *,
    password: str = PASSWORD,
    scheme: str = "light",
    width: int = 1280,
) -> Iterator[Page]:
    """A page of a browser profile of its own, after signing in.

    When the block ends, no script may have failed and no content may have broken the content security policy.
    """
    context: BrowserContext = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(url + path)
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    yield page
    context.close()
    assert faults == [], faults


_PASTE = """(element, text) => {
  const pasted = new DataTransfer();
  pasted.setData("text/plain", text);
  element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: pasted, bubbles: true, cancelable: true }));
}"""


def write(editor: Locator, text: str) -> None:
    """Pastes a text over all that is in an editor, as CodeMirror does itself; a browser's own insertion wants inline
    styles.
    """
    editor.press("ControlOrMeta+a")
    editor.evaluate(_PASTE, text)


def accessibility_faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2 A and AA on the page as it stands, one line a rule with its first places."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [
        f"{rule['id']}: {rule['help']} at {[node['target'] for node in rule['nodes'][:3]]}"
        for rule in found.response["violations"]
    ]
