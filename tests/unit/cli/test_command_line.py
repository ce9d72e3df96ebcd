"""The command line: help everywhere, one line for a mistake, exit code 2."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import cli
from adapters.program.configuration import load_settings
from cli.main import build_app, main
from fraud.errors import MisconfiguredError
from tests.support.programs import ROOT, Done, run_here

FRAUD = Path(sys.executable).with_name("fraud")
SUBCOMMANDS = sorted(
    found.name.replace("_", "-") for found in pkgutil.iter_modules(cli.__path__) if found.name != "main"
)


def fraud(*arguments: str) -> Done:
    return run_here(main, *arguments)


def test_help_lists_every_subcommand() -> None:
    shown = fraud("--help").stdout
    assert all(name in shown for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_explains_itself(name: str) -> None:
    done = fraud(name, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_a_bad_setting_is_one_line_and_exit_code_2() -> None:
    command = [str(FRAUD), "settings", "--set", "job.nonsense=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: job.nonsense: no such setting (docs/reference/settings.md lists them)\n"


def port_options(name: str, command: Any) -> Iterator[tuple[str, str]]:
    """Every option of every command that takes a port."""
    for below, each in getattr(command, "commands", {}).items():
        yield from port_options(f"{name} {below}".strip(), each)
    for option in command.params:
        yield from ((name, flag) for flag in option.opts if flag.endswith("-port"))


PORTS = sorted(port_options("", typer.main.get_command(build_app())))


def test_the_commands_that_take_a_port_are_known() -> None:
    assert PORTS == [
        ("console", "--port"),
        ("decide", "--port"),
        ("demo", "--console-port"),
        ("demo", "--port"),
        ("events run", "--port"),
        ("serve", "--port"),
    ]


@pytest.mark.parametrize("port", ["-1", "0", "65536", "99999"])
@pytest.mark.parametrize(("command", "flag"), PORTS)
def test_a_port_out_of_range_is_one_line_and_exit_code_2(command: str, flag: str, port: str) -> None:
    refused = CliRunner().invoke(build_app(), [*command.split(), flag, port]).exception
    assert isinstance(refused, MisconfiguredError)
    assert refused.exit_code == 2
    assert str(refused) == f"{flag} {port}: there is no such port; choose one from 1 to 65535"


@pytest.mark.parametrize(
    "setting",
    ["aws.endpoint_url", "aws.kinesis_endpoint_url", "model.endpoint_url", "console.job_url", "drift.pushgateway"],
)
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:99999", "http://127.0.0.1:x", "127.0.0.1:80", "http://:80", "ftp://a"]
)
def test_an_address_without_a_port_that_exists_is_refused_at_the_start(setting: str, address: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"^{setting}: ") as refused:
        load_settings(None, {}, {setting: address})
    assert "\n" not in str(refused.value)


def test_a_port_that_does_not_exist_ends_the_program_with_one_line() -> None:
    done = fraud("serve", "--port", "99999")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --port 99999: there is no such port; choose one from 1 to 65535\n",
    )


def test_doctor_names_what_to_fix_when_nothing_answers_at_the_endpoint(tmp_path: Path) -> None:
    figures = tmp_path / "doctor.json"
    done = fraud("doctor", "--set", "aws.endpoint_url=http://127.0.0.1:9", "--json", str(figures))
    assert done.returncode == 1
    assert "-> start it, or correct aws.endpoint_url" in done.stdout
    found = json.loads(figures.read_text())
    assert found["Endpoint"]["ok"] is False
    assert found["Java"]["ok"] is True
