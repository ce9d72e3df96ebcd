"""What every program shares: options, settings, logging, and errors turned into one line and an exit code."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.program.configuration import load_settings, parse_assignments
from adapters.program.light_start import leave_out_pandas
from adapters.program.log import configure_logging
from fraud.errors import FraudError, MisconfiguredError
from fraud.settings import Settings

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file (default: config/config.yaml where it exists).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON to FILE; - is standard output.")
]

INTERRUPTED = 130
_LONGEST_LINE = 500


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
    """Writes a command's figures where `--json` asks for them; what is no number, which JSON lacks, is null.

    `-` is standard output, where they follow what the command says for people.
    """
    if file is None:
        return
    text = json.dumps(_plain(figures), indent=2, default=str, allow_nan=False)
    if str(file) == "-":
        typer.echo(text)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    except OSError as error:
        raise MisconfiguredError(f"--json {file}", error.strerror or str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run_program(app: Callable[[], Any]) -> None:
    """Runs a command line; an error of ours becomes one line on standard error and its exit code."""
    # Before a library starts its threads: idle ones spin by default, which on a shared core costs training minutes.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    leave_out_pandas()
    try:
        app()
    except FraudError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # a fault of ours: everything of it, and at the end what people and `last_words` read
        traceback.print_exc()
        said = " ".join(str(error).split())[:_LONGEST_LINE]
        print(f"error: {type(error).__name__}: {said}", file=sys.stderr)
        sys.exit(1)
