"""The entry point of `fraud`: every other module of this package with a `command` function is a subcommand.

A subcommand is imported when it is asked for, and none for the list of them, whose lines are read from the sources: so
`fraud --help` does not wait for Arrow and Spark.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import cli


class _Imported(Mapping[str, Any]):
    """The subcommands by name, each imported when it is taken."""

    def __init__(self) -> None:
        names = (found.name.replace("_", "-") for found in pkgutil.iter_modules(cli.__path__) if found.name != "main")
        self._names = sorted(names)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        module = importlib.import_module(f"cli.{name.replace('-', '_')}")
        app = _typer()
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(module.command)
        return typer.main.get_group(app).commands[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Subcommands(TyperGroup):
    """The group of all subcommands. A module may offer `app`, a group of its own, instead of `command`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Imported()

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a name may go on with, without an import."""
        imported = self.commands
        self.commands = {name: TyperCommand(name=name, help=_summary(name)) for name in imported}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = imported

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Their list, each with the first sentence of its help, whole."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in self.commands])


_FOLDER = Path(__file__).parent


def _summary(name: str) -> str:
    """The first sentence of a subcommand's help, by its source."""
    return _first_sentence(_FOLDER / f"{name.replace('-', '_')}.py", "command")


def _first_sentence(file: Path, function: str) -> str:
    text = ""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            text = ast.get_docstring(node) or ""
        elif isinstance(node, ast.ImportFrom) and node.module:
            original = next((one.name for one in node.names if (one.asname or one.name) == function), None)
            if original is not None:
                return _first_sentence(_FOLDER.parent / f"{node.module.replace('.', '/')}.py", original)
        elif (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "app" and isinstance(node.value, ast.Call)
        ):
            text = next((ast.literal_eval(word.value) for word in node.value.keywords if word.arg == "help"), "")
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].removesuffix(".")


def _typer(**options: Any) -> typer.Typer:
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, **{"add_completion": False} | options)


def _version(asked: bool) -> None:
    if asked:
        from adapters.program.version import program_version

        typer.echo(f"fraud {program_version()}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """The command line of `fraud`."""
    app = _typer(name="fraud", cls=Subcommands, no_args_is_help=True, add_completion=True)

    @app.callback()
    def fraud(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
        ] = False,
    ) -> None:
        """Real-time card-fraud detection: Kinesis, PySpark, SageMaker, DynamoDB and S3, on AWS or on a laptop."""

    return app


def main() -> None:
    """Runs `fraud`."""
    app = build_app()
    if all(word.startswith("-") for word in sys.argv[1:]):
        app()
    from adapters.program.program import run_program  # what commands need; the list of them does not

    run_program(app)


if __name__ == "__main__":
    main()
