"""`fraud users`: lists and changes the console's users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import JsonOption, write_json
from adapters.program.tables import print_table

if TYPE_CHECKING:
    from console.users import Account, Role

app = typer.Typer(
    help="List and change the console's users. What changes is in force within seconds in every console that reads the "
    "file.",
    no_args_is_help=True,
)

FileOption = Annotated[Path, typer.Option("--users", help="File of users with hashed passwords.")]
NameArgument = Annotated[str, typer.Argument(help="The user's name.")]
RoleArgument = Annotated[str, typer.Argument(metavar="NAME:ROLE", help="Role: viewer, analyst, lead or admin.")]

DEFAULT = Path(".local/users.json")


@app.command("list")
def list_users(users: FileOption = DEFAULT, json: JsonOption = None) -> None:
    """List users with their roles, and by what they sign in.

    Example: fraud users list
    """
    from console.users import UserFile

    rows = [
        {"name": name, "role": one.role.name.lower(), "signs_in_by": _means(one)}
        for name, one in sorted(UserFile(users)().items())
    ]
    write_json(json, {"users": rows})
    print_table(["name", "role", "signs in by"], [list(row.values()) for row in rows])


@app.command()
def add(
    user: RoleArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a user of this name.")] = False,
    users: FileOption = DEFAULT,
) -> None:
    """Add a user with a new password, which is printed once.

    Example: fraud users add ann:analyst
    """
    import secrets

    from console.users import Account, hash_password

    name, role = _named(user)
    password = secrets.token_urlsafe(12)
    _put(users, name, Account(role, hash_password(password)), replace=replace)
    typer.echo(f"password of {name} (shown once): {password}")


@app.command()
def key(
    user: RoleArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a user of this name.")] = False,
    users: FileOption = DEFAULT,
) -> None:
    """Add a machine with a new API key, which is printed once; it sends `Authorization: Bearer KEY`.

    Example: fraud users key nightly-export:lead
    """
    import secrets

    from console.users import KEY_START, Account, key_hash

    name, role = _named(user)
    made = KEY_START + secrets.token_urlsafe(32)
    _put(users, name, Account(role, key=key_hash(made)), replace=replace)
    typer.echo(f"key of {name} (shown once): {made}")


@app.command()
def role(user: RoleArgument, users: FileOption = DEFAULT) -> None:
    """Give a user another role.

    Example: fraud users role ann:lead
    """
    name, wanted = _named(user)
    _edit(users, name, lambda one: one._replace(role=wanted))
    typer.echo(f"{name} is {wanted.name.lower()} now")


@app.command()
def password(name: NameArgument, users: FileOption = DEFAULT) -> None:
    """Give a user a new password, which is printed once; their sessions end.

    Example: fraud users password ann
    """
    import secrets

    from console.users import hash_password

    made = secrets.token_urlsafe(12)
    _edit(users, name, lambda one: one._replace(password=hash_password(made)))
    typer.echo(f"password of {name} (shown once): {made}")


@app.command()
def totp(
    name: NameArgument,
    remove: Annotated[bool, typer.Option("--remove", help="Take the authenticator away.")] = False,
    users: FileOption = DEFAULT,
) -> None:
    """Have a user sign in with the code of an authenticator too; prints once what the authenticator reads.

    Example: fraud users totp ann
    """
    import base64
    import secrets

    from console.totp import address

    secret = None if remove else base64.b32encode(secrets.token_bytes(20)).decode()
    _edit(users, name, lambda one: one._replace(totp=secret))
    typer.echo(f"{name} needs no code any more" if secret is None else address(name, secret))


@app.command()
def remove(name: NameArgument, users: FileOption = DEFAULT) -> None:
    """Remove a user; their sessions end, their key stops working.

    Example: fraud users remove ann
    """
    from console.users import UserFile

    def without(known: dict[str, Account]) -> None:
        _known(known, name)
        del known[name]

    UserFile(users).change(without)
    typer.echo(f"{name} is removed")


def _named(user: str) -> tuple[str, Role]:
    from console.users import Role
    from fraud.errors import MisconfiguredError

    name, _, wanted = user.partition(":")
    if not name or len(name) > 64 or wanted.upper() not in Role.__members__:
        raise MisconfiguredError(user, "write it as NAME:ROLE, e.g. ann:analyst")
    return name, Role[wanted.upper()]


def _put(file: Path, name: str, account: Account, *, replace: bool) -> None:
    from console.users import UserFile
    from fraud.errors import MisconfiguredError

    def put(known: dict[str, Account]) -> None:
        if name in known and not replace:
            raise MisconfiguredError(name, "is a user already; --replace gives a new password or key")
        known[name] = account

    UserFile(file).change(put)


def _edit(file: Path, name: str, edit: Callable[[Account], Account]) -> None:
    from console.users import UserFile

    def changed(known: dict[str, Account]) -> None:
        known[name] = edit(_known(known, name))

    UserFile(file).change(changed)


def _known(known: dict[str, Account], name: str) -> Account:
    from fraud.errors import MisconfiguredError

    if name not in known:
        raise MisconfiguredError(name, "is no user; `fraud users list` shows them")
    return known[name]


def _means(account: Account) -> str:
    if account.key is not None:
        return "API key"
    return "password and code" if account.totp is not None else "password"
