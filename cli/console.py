"""`fraud console`: the analyst's web application."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, SetOption, open_program
from fraud.decision.scorer import VersionedScorer
from fraud.settings import Settings

if TYPE_CHECKING:
    from console.services.lab import Launcher
    from ml_model.overview import ModelOverview


def command(
    users: Annotated[Path, typer.Option(help="File of users with hashed passwords.")] = Path(".local/users.json"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8090,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Serve the analyst's console. Roles: viewer, analyst, lead, admin.

    \b
    Examples:
      fraud users add ann:analyst && fraud console
      fraud console --set aws.endpoint_url=http://127.0.0.1:4566
    """
    from adapters.files.sessions import StoredSessions
    from adapters.program.ports import check_port
    from adapters.program.web_server import serve
    from console.access import Access
    from console.compose import compose, open_ports, single_sign_on_of
    from console.users import UserFile

    settings = open_program("console", config, assignments)
    check_port("--port", port)
    # uvicorn ends by the signal it got; as an exception it lets what was started here end first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _launcher(settings) as launcher:
        known = UserFile(users)
        known()
        ports = open_ports(settings, overview_of(settings), models_of(settings), launcher)
        sessions = StoredSessions(ports.store)
        access = Access(
            known,
            time.time,
            idle_s=settings.console.idle_minutes * 60.0,
            audit=ports.audit,
            sessions=sessions,
            set_password=known.set_password,
        )
        app = compose(settings, ports, access, host, single_sign_on_of(settings.oidc, access, sessions, time.time))
        typer.echo(f"console: http://{host}:{port}")
        serve(app, host, port)


def _launcher(settings: Settings) -> AbstractContextManager[Launcher | None]:
    """What starts the lab's campaigns, where there is a lab."""
    if not settings.console.lab:
        return nullcontext()
    from embedded.campaigns import CampaignLauncher

    return CampaignLauncher(settings)


def overview_of(settings: Settings) -> ModelOverview:
    """The models that the settings name, measured on the archive that they name."""
    from adapters.archive.decision_archive import open_decision_archive
    from adapters.model.registry import open_registry
    from fraud.features import catalogue_of
    from ml_model.overview import ModelOverview

    return ModelOverview(
        settings.model,
        settings.drift,
        open_registry(settings.model.registry, settings.aws),
        lambda: open_decision_archive(None, settings.archive, settings.aws, catalogue_of(settings)),
    )


def models_of(settings: Settings) -> Callable[[str], VersionedScorer | None]:
    """The model of a version: the configured one, or out of the registry."""
    from adapters.model.registry import open_registry
    from fraud.errors import FraudError
    from ml_model.predict import InProcessScorer

    @lru_cache(maxsize=4)
    def load(version: str) -> VersionedScorer:
        model = settings.model
        of = ((model.artifact, model.artifact_sha256), (model.challenger, model.challenger_sha256))
        for place, sha256 in of:
            if place and (scorer := InProcessScorer.load(Path(place), sha256)).model_version == version:
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
