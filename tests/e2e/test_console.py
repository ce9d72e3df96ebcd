"""The demo as its user meets it, a real browser before its console: from a campaign of the lab to a label that the job
has read, and then Ctrl-C.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml
from playwright.sync_api import Browser, expect

from adapters.alerts.alert import subject_of
from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.files.ground_truth import ground_truth
from embedded.demo_console import USER
from embedded.emulator import answers, free_port
from fraud.decision.key import Subject
from fraud.settings import Settings
from tests.support.browsers import MISSING, accessibility_faults, is_installed, launched, signed_in
from tests.support.calendar import FROM_FIRST_DAY
from tests.support.product_packages import without_tools

ROOT = Path(__file__).parents[2]
FRAUD = Path(sys.executable).with_name("fraud")
FOLDER = ROOT / ".local" / "demo"
_PATIENCE_S = 180.0

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1200)]


class Ended(NamedTuple):
    """A demo that has ended.

    Attributes:
        exit_code: of it.
        lines: that it printed.
        alive: processes that it left.
        figures: that it wrote.
        labels: verdict and source of the labels that its job stored for the fraud that was confirmed; None without a
            browser.
    """

    exit_code: int
    lines: list[str]
    alive: list[psutil.Process]
    figures: dict[str, Any]
    labels: set[tuple[str, str]] | None


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    figures = tmp_path_factory.mktemp("demo") / "figures.json"
    command = [str(FRAUD), "demo", "--rate", "100", *FROM_FIRST_DAY, "--console-port", str(free_port())]
    command += ["--json", str(figures), "--set", "log.format=text"]
    with subprocess.Popen(
        command, cwd=ROOT, env=without_tools(os.environ), stdout=subprocess.PIPE, text=True, process_group=0
    ) as demo:
        lines, labels = list[str](), None
        try:
            for line in demo.stdout or ():
                lines.append(line)
                if "streaming" in line:
                    break
            assert "streaming" in lines[-1], lines
            if is_installed():
                with launched() as browser:
                    labels = _labels_of_a_confirmed_fraud(browser, "".join(lines))
            children = psutil.Process(demo.pid).children(recursive=True)
        finally:
            os.kill(demo.pid, signal.SIGINT)
            rest, _ = demo.communicate(timeout=300)
        _, alive = psutil.wait_procs(children, timeout=60)
    return Ended(demo.returncode, [*lines, *rest.splitlines()], alive, json.loads(figures.read_text()), labels)


def _labels_of_a_confirmed_fraud(browser: Browser, said: str) -> set[tuple[str, str]]:
    """A campaign is started, and an analyst confirms a fraud of it: the labels that the job stores for it."""
    found = re.search(rf"console: (\S+)  user {USER}, password (\S+) ", said)
    assert found, said
    url, password = found.groups()
    _await(lambda: answers(url))
    settings = Settings.model_validate(yaml.safe_load((FOLDER / "settings.yaml").read_text()))
    _start_campaign(browser, url, password)
    caught = _caught_by_the_job(settings)
    _confirm_fraud(browser, url, password, caught)
    archive, labels = open_archive(settings.archive, settings.aws), set[tuple[str, str]]()

    def labelled() -> bool:
        rows = [row for table in archive.tables(ArchiveKind.LABELS) for row in table.to_pylist()]
        labels.update(
            (row["verdict"], row["source"])
            for row in rows
            if Subject.of(row | {"event_time": row["transaction_time"]}) == caught
        )
        return ("fraud", "disposition") in labels

    _await(labelled)
    return labels


def _await(holds: Callable[[], bool]) -> None:
    """Waits until something holds, or for so long that a test will say what did not."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.2)


def _start_campaign(browser: Browser, url: str, password: str) -> None:
    """Starts a campaign in the lab and waits until some of its transactions have raised alerts."""
    with signed_in(browser, url, USER, "/lab", password=password) as page:
        page.get_by_label("Campaign").select_option("card testing")
        page.get_by_label("Cases").fill("3")
        page.get_by_label("Pace").select_option("an hour a second")
        page.get_by_role("button", name="Start the campaign").click()
        run = page.locator(".run")
        expect(run).to_contain_text("sent whole", timeout=1000 * _PATIENCE_S)
        expect(run).to_contain_text("first transaction sent to first alert", timeout=1000 * _PATIENCE_S)


def _caught_by_the_job(settings: Settings) -> Subject:
    """One of the lab's only campaign that raised an alert, whatever else did."""
    ((_, sent),) = ((name, of) for name, of in ground_truth(FOLDER).read_new() if name.startswith("lab-"))
    alerted = {subject_of(item) for item in AlertTable(settings.alerts, settings.aws).all()}
    return min({truth.subject for truth in sent} & alerted)


def _confirm_fraud(browser: Browser, url: str, password: str, caught: Subject) -> None:
    """Finds the alert in the queue, reads it, leaves a note and confirms the fraud."""
    with signed_in(browser, url, USER, "/queue", password=password) as page:
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
        page.get_by_role("button", name="Confirm fraud", exact=True).click()  # a case of several has one for all
        expect(page.locator(".badge", has_text="confirmed fraud")).to_be_visible()


def test_an_analyst_finds_a_campaigns_fraud_and_the_job_reads_the_label(ended: Ended) -> None:
    if ended.labels is None:
        pytest.skip(MISSING)
    assert ("fraud", "disposition") in ended.labels


def test_ctrl_c_ends_the_demo_of_the_product_alone_with_a_summary_and_leaves_no_process(ended: Ended) -> None:
    assert ended.exit_code == 0, ended.lines
    assert ended.lines[0].startswith("policy: .local/demo/policy/policy.yaml, a copy")
    assert not ended.alive
    assert ended.figures["lost"] == ended.figures["duplicated"] == 0
    # A card that reuses an id soon, as some do here, asks for another decision under it: refused in the call (409).
    assert ended.figures["decided"] + ended.figures["refused"] == ended.figures["sent"]
    assert ended.figures["refused"] < 0.01 * ended.figures["sent"]
    assert ended.figures["dead_letters"] == 0
    assert ended.figures["first_alert_s"] > 0
