"""Commands, metrics, alarms and reasons that the operations documents name are those that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from cli.main import build_app
from fraud.metrics import REGISTRY

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
DOCUMENTS = [
    DOCS / "upgrade.md",
    DOCS / "threat-model.md",
    *sorted(DOCS.glob("*-aws.md")),
    ROOT / "infrastructure" / "README.md",
    *sorted((DOCS / "runbooks").glob("*.md")),
]
COMMANDS = typer.main.get_command(build_app())
ALARMS = set(re.findall(r"alert: (\w+)", (ROOT / "infrastructure/helm/fraud/templates/monitoring.yaml").read_text()))


def named_commands(text: str) -> list[str]:
    indented = re.findall(r"^ +(?:FRAUD_\S+ )*fraud (.*)$", text, re.MULTILINE)
    return indented + re.findall(r"`fraud ([a-z][^`]*)`", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_fraud_command_is_one_with_its_options(document: Path) -> None:
    for line in named_commands(document.read_text()):
        command, words = COMMANDS, shlex.split(line.split(" | ")[0])
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"fraud {line}"
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, f"fraud {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_metric_and_alarm_exists(document: Path) -> None:
    text = document.read_text()
    metrics = {metric.name for metric in REGISTRY}
    assert set(re.findall(r"`(fraud_\w+)`", text)) <= metrics
    assert set(re.findall(r"`(Fraud[A-Z]\w+)`", text)) <= ALARMS


def test_every_alarm_is_in_a_runbook() -> None:
    written = " ".join(path.read_text() for path in (DOCS / "runbooks").glob("*.md"))
    assert [alarm for alarm in sorted(ALARMS) if f"`{alarm}`" not in written] == []
