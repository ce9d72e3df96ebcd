"""`fraud models`: the model registry."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from adapters.model_registry import ModelRegistry
    from fraud.settings import Settings

app = typer.Typer(help="The model registry: list, register, promote, fetch.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None) -> None:
    """Show all versions with their stage.

    Example: fraud models list --set model.registry=s3://fraud-archive/models
    """
    from rich.console import Console
    from rich.table import Table

    registry = _open(open_program("models", config, assignments))
    entries = registry.entries()
    table = Table("version", "stage", "since", "registered", "average precision", "note", box=None)
    for entry in entries:
        precision = entry.metrics.get("average_precision")
        table.add_row(
            entry.version,
            entry.stage.value,
            f"{entry.staged_at:%Y-%m-%d %H:%M}",
            f"{entry.registered_at:%Y-%m-%d %H:%M}",
            "-" if precision is None else f"{precision:.3f}",
            entry.note,
        )
    Console().print(table if entries else "no versions; `fraud models register FOLDER` adds one")
    write_json(json, {"models": [entry.model_dump(mode="json") for entry in entries]})


@app.command()
def register(
    folder: Annotated[Path, typer.Argument(help="Folder of the artifact.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Take an artifact in, after checking that it loads here.

    Example: fraud models register config/model/champion
    """
    from ml_model.artifact import load_artifact

    registry = _open(open_program("models", config, assignments))
    _, description = load_artifact(folder)
    entry = registry.register(folder, description.version, description.metrics, dt.datetime.now(dt.UTC))
    typer.echo(f"{entry.version} is {entry.stage.value}; `fraud models promote {entry.version}` makes it the champion")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A registered version.")],
    stage: Annotated[str, typer.Option(help="`champion`, `challenger` or `archived`.")] = "champion",
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Give a version a stage; the one that had it is archived. `fetch champion` then gives this version.

    Example: fraud models promote 2026-03-01 --note "wins on the labels of February"
    """
    from adapters.model_registry import Stage

    if stage not in list(Stage):
        raise MisconfiguredError("--stage", f"{stage} is none of {', '.join(Stage)}")
    entry = _open(open_program("models", config, assignments)).promote(
        version, Stage(stage), dt.datetime.now(dt.UTC), note
    )
    typer.echo(f"{entry.version} is {entry.stage.value}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A version, `champion` or `challenger`.")],
    out: Annotated[Path, typer.Option(help="Folder to write the artifact to.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Write an artifact to a folder and check that it is what was registered and loads here.

    Example: fraud models fetch champion --out .local/champion
    """
    from ml_model.artifact import load_artifact

    registry = _open(open_program("models", config, assignments))
    entry = registry.fetch(name, out)
    load_artifact(out)
    typer.echo(f"{entry.version} ({entry.stage.value}) in {out}")


def _open(settings: Settings) -> ModelRegistry:
    from adapters.model_registry import open_registry

    return open_registry(settings.model.registry, settings.aws)
