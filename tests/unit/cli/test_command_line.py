"""The command line: help everywhere, one line for a mistake, exit code 2."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parents[3]
FRAUD = Path(sys.executable).with_name("fraud")
SUBCOMMANDS = sorted(
    found.name.replace("_", "-") for found in pkgutil.iter_modules(cli.__path__) if found.name != "main"
)


def fraud(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(FRAUD), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_subcommand() -> None:
    shown = fraud("--help").stdout
    assert all(name in shown for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_explains_itself(name: str) -> None:
    done = fraud(name, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_a_bad_setting_is_one_line_and_exit_code_2() -> None:
    done = fraud("settings", "--set", "job.nonsense=1")
    assert done.returncode == 2
    assert done.stderr == "error: job.nonsense: no such setting (docs/reference/settings.md lists them)\n"


def test_doctor_names_what_to_mend_when_nothing_answers_at_the_endpoint(tmp_path: Path) -> None:
    figures = tmp_path / "doctor.json"
    done = fraud("doctor", "--set", "aws.endpoint_url=http://127.0.0.1:9", "--json", str(figures))
    assert done.returncode == 1
    assert "-> start it, or mend aws.endpoint_url" in done.stdout
    found = json.loads(figures.read_text())
    assert found["Endpoint"]["ok"] is False
    assert found["Java"]["ok"] is True
