"""The command line as a whole: its list is quick, its names are found, figures go to standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adapters.program.program import write_json
from cli.main import _summary, build_app

SLOW = ("pyarrow", "pyspark", "polars", "xgboost", "boto3", "pydantic")
"""What the list of commands must not wait for."""


def test_the_list_of_commands_imports_none_of_them() -> None:
    script = (
        "import sys; sys.argv = ['fraud', '--help']\n"
        "from cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"


def test_every_command_says_in_the_list_what_its_own_help_begins_with() -> None:
    group = typer.main.get_command(build_app())
    assert len(group.commands) > 20  # type: ignore[attr-defined]
    for name, found in group.commands.items():  # type: ignore[attr-defined]
        said = _summary(name)
        assert said, name
        assert " ".join((found.help or "").split()).startswith(said), name


def test_a_command_is_completed_by_its_beginning() -> None:
    group = typer.main.get_command(build_app())
    context = typer.Context(group, info_name="fraud")
    assert [item.value for item in group.shell_complete(context, "de")] == ["dead-letters", "decide", "demo"]


def test_the_version_and_a_wrong_name() -> None:
    runner = CliRunner()
    assert runner.invoke(build_app(), ["--version"]).output.startswith("fraud 0.")
    wrong = runner.invoke(build_app(), ["backtst"])
    assert (wrong.exit_code, "backtest" in wrong.output) == (2, True)


def test_figures_go_to_standard_output_where_the_file_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("-"), {"share": float("nan"), "count": 2})
    assert json.loads(capsys.readouterr().out) == {"share": None, "count": 2}
