"""Creates streams, table and bucket on any endpoint; safe to repeat: `python scripts/setup_localstack.py`.

Works against the bundled emulator, LocalStack or AWS itself:
  FRAUD_AWS__ENDPOINT_URL=http://127.0.0.1:4566 python scripts/setup_localstack.py
"""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.aws.provision import provision
from adapters.program.program import ConfigOption, SetOption, open_program, run_program

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"


def command(
    endpoint_url: Annotated[str | None, typer.Option(help="Address of the endpoint; wins over the settings.")] = None,
    aws: Annotated[bool, typer.Option("--aws", help="Create on AWS itself, with your credentials.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Create the streams, the alert table and the bucket of the settings where they are missing.

    Without --aws, --endpoint-url or the setting aws.endpoint_url it takes the emulator's usual address.

    Example: python scripts/setup_localstack.py --endpoint-url http://127.0.0.1:4566
    """
    overrides = {"aws.endpoint_url": endpoint_url} if endpoint_url else {}
    settings = open_program("setup", config, assignments, overrides)
    if settings.aws.endpoint_url is None and not aws:
        settings = open_program("setup", config, assignments, {"aws.endpoint_url": DEFAULT_ENDPOINT})
    for line in provision(settings):
        typer.echo(line)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
