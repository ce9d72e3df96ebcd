"""`python -m ml_model serve` and `train`: what a SageMaker container runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.program.program import ConfigOption, SetOption, open_program, run_program


def serve(
    port: Annotated[int, typer.Option(envvar="SAGEMAKER_BIND_TO_PORT", help="Port; SageMaker expects 8080.")] = 8080,
    host: Annotated[str, typer.Option(help="Address; a container needs 0.0.0.0.")] = "127.0.0.1",
    artifact: Annotated[
        Path | None, typer.Option(envvar="SM_MODEL_DIR", help="Model artifact; default: model.artifact.")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Serve the model over HTTP: GET /ping, POST /invocations (JSON, CSV or an Arrow stream).

    \b
    Examples:
      fraud serve --port 8080
      curl -s localhost:8080/invocations -H 'content-type: application/json' \\
        -d '{"instances": [{"tx_amount": 950.0, "card_count_1h": 6}]}'
    """
    settings = open_program("serve", config, assignments)
    from adapters.program.ports import check_port
    from adapters.program.web_server import serve as serve_app
    from ml_model.predict import InProcessScorer
    from ml_model.server import build_app

    check_port("--port", port)
    scorer = InProcessScorer.load(artifact or Path(settings.model.artifact), settings.model.artifact_sha256)
    typer.echo(f"model {scorer.description.version} on http://{host}:{port}", err=True)
    serve_app(build_app(scorer), host, port)


def train(
    prefix: Annotated[Path, typer.Option(help="Folder that SageMaker's lie in.")] = Path("/opt/ml"),
    channel: Annotated[
        Path | None, typer.Option(envvar="SM_CHANNEL_ARCHIVE", help="The archive; default: the channel `archive`.")
    ] = None,
    model_dir: Annotated[
        Path | None, typer.Option(envvar="SM_MODEL_DIR", help="Where the artifact goes; default: model/.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(envvar="SM_OUTPUT_DIR", help="Where a failure is left; default: output/.")
    ] = None,
    hyperparameters: Annotated[
        str | None, typer.Option(envvar="SM_HPS", help="JSON; default: input/config/hyperparameters.json.")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Run a SageMaker training job: channel `archive`, hyperparameters.json, model/ and output/failure.

    Example: python -m ml_model train --prefix job
    """
    open_program("train", config, assignments)
    from ml_model.training_job import TrainingFolders, run_training_job

    folders = TrainingFolders(prefix, channel, model_dir, output_dir, hyperparameters)
    description = run_training_job(folders, typer.echo)
    typer.echo(f"wrote version {description.version} to {folders.artifact}")


def main() -> None:
    """Runs `python -m ml_model`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command("serve")(serve)
    app.command("train")(train)
    app.callback()(_group)
    run_program(app)


def _group() -> None:
    """The model's container programs."""


if __name__ == "__main__":
    main()
