"""The entry point of `fraud`: every other module of this package with a `command` function is a subcommand."""

from __future__ import annotations

import importlib
import pkgutil

import typer

import cli
from adapters.program.program import run_program


def build_app() -> typer.Typer:
    """Collects the subcommands. A module may instead offer `app`, a group of subcommands."""
    app = typer.Typer(
        name="fraud",
        help="Real-time card-fraud detection: Kinesis, PySpark, SageMaker, DynamoDB and S3, on AWS or on a laptop.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for found in sorted(pkgutil.iter_modules(cli.__path__), key=lambda found: found.name):
        if found.name == "main":
            continue
        module = importlib.import_module(f"cli.{found.name}")
        name = found.name.replace("_", "-")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(module.command)
    return app


def main() -> None:
    """Runs `fraud`."""
    run_program(build_app())


if __name__ == "__main__":
    main()
