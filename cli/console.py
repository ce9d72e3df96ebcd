"""`fraud console`: the analyst's web application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.program import ConfigOption, SetOption, open_program


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
    """Serve the alert queue. Roles: viewer, analyst, lead, admin.

    \b
    Examples:
      fraud console --add-user ann:analyst
      fraud console --set aws.endpoint_url=http://127.0.0.1:4566
    """
    import uvicorn

    from console.access import Role, add_user
    from console.main import build
    from fraud.errors import MisconfiguredError
    from ml_model.overview import ModelOverview

    settings = open_program("console", config, assignments)
    if new_user is not None:
        name, _, role = new_user.partition(":")
        if not name or role.upper() not in Role.__members__:
            raise MisconfiguredError(f"--add-user {new_user}", "write it as NAME:ROLE, e.g. ann:analyst")
        typer.echo(f"password of {name} (shown once): {add_user(users, name, Role[role.upper()])}")
        return
    local = host in {"127.0.0.1", "localhost", "::1"}
    app = build(settings, users, ModelOverview(settings), secure=not local)
    typer.echo(f"console: http://{host}:{port}")
    uvicorn.run(app, host=host, port=port, log_level="warning")
