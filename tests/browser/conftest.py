"""One Chromium and one emulator for all browser tests; each test module has a console with a table of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from fraud.settings import Settings
from tests.support.browsers import chromium
from tests.support.emulators import provisioned


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located
