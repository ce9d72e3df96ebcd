"""`fraud console`: the analyst's web application."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program import ConfigOption, SetOption, open_program
from fraud.scorer import VersionedScorer
from fraud.settings import Settings

if TYPE_CHECKING:
    from console.services.lab import Launcher


def command(
    users: Annotated[Path, typer.Option(help="File of users with hashed passwords.")] = Path(".local/users.json"),
    new_user: Annotated[
        str | None, typer.Option("--add-user", metavar="NAME:ROLE", help="Add a user, print the password, end.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8090,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Serve the analyst's console. Roles: viewer, analyst, lead, admin.

    \b
    Examples:
      fraud console --add-user ann:analyst
      fraud console --set aws.endpoint_url=http://127.0.0.1:4566
    """
    import uvicorn

    from console.access import Role, add_user
    from console.main import build
    from console.services.lab import LOOPBACK
    from fraud.errors import MisconfiguredError
    from ml_model.overview import ModelOverview

    settings = open_program("console", config, assignments)
    if new_user is not None:
        name, _, role = new_user.partition(":")
        if not name or role.upper() not in Role.__members__:
            raise MisconfiguredError(f"--add-user {new_user}", "write it as NAME:ROLE, e.g. ann:analyst")
        typer.echo(f"password of {name} (shown once): {add_user(users, name, Role[role.upper()])}")
        return
    # uvicorn ends by the signal it got; as an exception it lets what was started here end first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _launcher(settings) as launcher:
        secure = host not in LOOPBACK
        app = build(settings, users, ModelOverview(settings), models_of(settings), launcher, secure=secure)
        typer.echo(f"console: http://{host}:{port}")
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)


def _launcher(settings: Settings) -> AbstractContextManager[Launcher | None]:
    """What starts the lab's campaigns, where there is a lab."""
    if not settings.console.lab:
        return nullcontext()
    from embedded.campaigns import CampaignLauncher

    return CampaignLauncher(settings)


def models_of(settings: Settings) -> Callable[[str], VersionedScorer | None]:
    """The model of a version: the configured one, or out of the registry."""
    from adapters.model_registry import open_registry
    from fraud.errors import FraudError
    from ml_model.predict import InProcessScorer

    @lru_cache(maxsize=4)
    def load(version: str) -> VersionedScorer:
        for folder in filter(None, (settings.model.artifact, settings.model.challenger)):
            scorer = InProcessScorer.load(Path(folder))
            if scorer.model_version == version:
                return scorer
        with tempfile.TemporaryDirectory() as folder:
            open_registry(settings.model.registry, settings.aws).fetch(version, Path(folder) / "model")
            return InProcessScorer.load(Path(folder) / "model")

    def find(version: str) -> VersionedScorer | None:
        try:
            return load(version)
        except FraudError:
            return None

    return find
