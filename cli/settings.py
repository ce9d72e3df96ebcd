"""`fraud settings`: shows the settings in force."""

from __future__ import annotations

import typer
import yaml

from adapters.program.program import ConfigOption, SetOption, open_program


def command(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Print every setting as it is in force after file, environment and flags.

    Example: FRAUD_JOB__TRIGGER_MS=500 fraud settings --set log.level=debug
    """
    settings = open_program("settings", config, assignments)
    typer.echo(yaml.safe_dump(settings.model_dump(), sort_keys=False), nl=False)
