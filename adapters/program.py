"""What every program shares: options, settings, logging, and errors turned into one line and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.configuration import load_settings, parse_assignments
from adapters.log import configure_logging
from fraud.errors import FraudError, MisconfiguredError
from fraud.settings import Settings

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file (default: config/config.yaml where it exists).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON to FILE.")]

INTERRUPTED = 130


def open_program(
    name: str, config: Path | None, assignments: list[str] | None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Loads the settings and sets logging up; the first thing a program does.

    Args:
        name: the program's name, carried by each log line.
        config: the `--config` flag.
        assignments: the `--set` flags; they win over the file and the environment.
        overrides: settings that other flags of the program stand for; they win over `--set`.
    """
    settings = load_settings(config, os.environ, parse_assignments(assignments or []) | dict(overrides or {}))
    configure_logging(settings.log, name)
    return settings


def write_json(file: Path | None, figures: Mapping[str, Any]) -> None:
    """Writes a command's figures where `--json` asks for them."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=2, default=str) + "\n")
    except OSError as error:
        raise MisconfiguredError(f"--json {file}", error.strerror or str(error)) from None


def run_program(app: Callable[[], Any]) -> None:
    """Runs a command line; an error of ours becomes one line on standard error and its exit code."""
    # Before a library starts its threads: idle ones spin by default, which on a shared core costs training minutes.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except FraudError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
