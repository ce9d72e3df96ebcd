"""Alarms that the operations documents name exist, and each has its runbook."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
DOCUMENTS = [*DOCS.rglob("*.md"), ROOT / "infrastructure" / "README.md"]
TEMPLATES = (ROOT / "infrastructure" / "helm" / "fraud" / "templates").glob("*.yaml")
ALARMS = {alarm for file in TEMPLATES for alarm in re.findall(r"alert: (\w+)", file.read_text())}


def test_every_alarm_that_is_named_exists() -> None:
    named = {alarm for document in DOCUMENTS for alarm in re.findall(r"`(Fraud[A-Z]\w+)`", document.read_text())}
    assert named - ALARMS == set()


def test_every_alarm_is_in_a_runbook() -> None:
    written = " ".join(path.read_text() for path in (DOCS / "runbooks").glob("*.md"))
    assert [alarm for alarm in sorted(ALARMS) if f"`{alarm}`" not in written] == []
