"""`fraud lists`: shows and changes the lists that live beside the policy."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.program.tables import print_table
from fraud.decision.policy.document import EntityName, ListKind

if TYPE_CHECKING:
    from fraud.settings import Settings
    from operations.lists import Author, Changed, ListDesk

app = typer.Typer(
    help="Show and change lists of cards, merchants, networks and the like, in force within a second in the decision "
    "service and at the job's next batch.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Name of the list.")]
WhyOption = Annotated[str, typer.Option(help="Why, for whoever asks later.")]
ByOption = Annotated[str | None, typer.Option(help="Who does it; default: the user of this machine.")]

_DAY_MS = 86_400_000


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="Name of a list; without it, all lists in short.")] = None,
    search: Annotated[str, typer.Option(help="Only entries whose value contains this.")] = "",
    most: Annotated[int, typer.Option(min=1, help="Most entries or changes to show.")] = 100,
    history: Annotated[
        bool, typer.Option("--history", help="What was done to the list instead: who, when, why.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Show the lists, the entries of one, or what was done to it.

    \b
    Examples:
      fraud lists show
      fraud lists show blocked-cards --search tok_4f
      fraud lists show blocked-cards --history
    """
    desk = _desk(config, assignments)
    if name is None:
        lists = desk.all()
        write_json(json, {"version": desk.version, "lists": lists})
        print_table(["list", "kind", "of", "entries", "state", "in"], [list(each.values()) for each in lists])
        return
    if history:
        from operations.lists import described

        changes = [described(change) for change in desk.changes(name, most)]
        write_json(json, {"name": name, "changes": changes})
        rows = [[c["at"], c["by"], c["added"], c["removed"], c["why"]] for c in changes]
        print_table(["when", "who", "put on", "taken off", "why"], rows)
        return
    found, entries = desk.get(name), desk.entries(name, most=most, search=search)
    summary = {"name": name, "kind": found.kind, "of": found.of, "size": len(found.entries), "version": desk.version}
    write_json(json, summary | {"entries": entries})
    rows = [[e["value"], _until(e), e["by"], e["at"][:16], e["note"] or e["why"]] for e in entries]
    print_table([found.of, "expires", "by", "since", "note"], rows)
    typer.echo(f"{name}: a {found.kind} list of {found.of}, {len(found.entries):,} entries, {len(entries):,} shown")


@app.command()
def add(
    name: NameArgument,
    values: Annotated[list[str], typer.Argument(help="Values: of ip also networks, of bin also ranges.")],
    expires: Annotated[
        str | None, typer.Option(help="When they no longer count: 90d, 2026-12-31 or 2026-12-31T18:00:00Z.")
    ] = None,
    note: Annotated[str, typer.Option(help="A note on each of them.")] = "",
    kind: Annotated[ListKind | None, typer.Option(help="What the list does, to make a new one.")] = None,
    of: Annotated[
        str | None, typer.Option(help="What it is of, to make a new one: card, merchant, ip, bin, ...")
    ] = None,
    why: WhyOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Put values on a list, or change their expiry and note. The first change of a list that the policy's files have
    takes its entries over.

    \b
    Examples:
      fraud lists add blocked-cards tok_4f1c tok_77ab --expires 90d --why "confirmed fraud, case 8125"
      fraud lists add blocked-networks 203.0.113.0/24 --kind block --of ip
      fraud lists add watched-bins 411111-411199 --kind watch --of bin --note "tested by the thousand"
    """
    from fraud.decision.policy.living import Given

    until = None if expires is None else _expiry_ms(expires)
    desk = _desk(config, assignments)
    given = [Given(value, until, note) for value in values]
    _say(name, desk.add(name, given, _author(by, why), kind, _entity(of)), json)


@app.command()
def remove(
    name: NameArgument,
    values: Annotated[list[str], typer.Argument(help="Values, as the list has them.")],
    why: WhyOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Take values off a list.

    Example: fraud lists remove blocked-cards tok_4f1c --why "the cardholder confirmed the payment"
    """
    _say(name, _desk(config, assignments).remove(name, values, _author(by, why)), json)


@app.command()
def delete(
    name: NameArgument,
    why: WhyOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Remove a list of the store with all its entries; where the policy's files have it, theirs count again.

    Example: fraud lists delete watched-bins --why "the attack is over"
    """
    _say(name, _desk(config, assignments).delete(name, _author(by, why)), json)


@app.command(name="import")
def import_(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="CSV with the columns value, expires, note.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take off what the file does not have.")] = False,
    expires: Annotated[
        str | None, typer.Option(help="Expiry of the lines that give none: 90d, 2026-12-31 or 2026-12-31T18:00:00Z.")
    ] = None,
    kind: Annotated[ListKind | None, typer.Option(help="What the list does, to make a new one.")] = None,
    of: Annotated[str | None, typer.Option(help="What it is of, to make a new one.")] = None,
    why: WhyOption = "",
    by: ByOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Put the entries of a CSV file on a list. A bad line is named, and then nothing is changed.

    \b
    Examples:
      fraud lists import blocked-cards confirmed.csv --expires 180d --why "scheme report of May"
      fraud lists import partners partners.csv --replace --kind named --of merchant
    """
    from adapters.files.text_files import read_text
    from fraud.decision.policy.living import Given, ListError
    from operations.lists import read_csv

    desk, entity = _desk(config, assignments), _entity(of)
    if entity is None:
        entity = desk.get(name).of
    given = read_csv(read_text(file), entity, str(file))
    if not given and not replace:
        raise ListError(f"{file}: has no entries")
    if expires is not None:
        until = _expiry_ms(expires)
        given = [each if each.expires_ms is not None else Given(each.value, until, each.note) for each in given]
    author = _author(by, why)
    done = (
        desk.add(name, given, author, kind, entity) if not replace else desk.replace(name, given, author, kind, entity)
    )
    _say(name, done, json)


@app.command()
def export(
    name: NameArgument,
    file: Annotated[Path | None, typer.Argument(help="File to write; without it, standard output.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Write a list as CSV with the columns value, expires, note.

    Example: fraud lists export blocked-cards blocked.csv
    """
    from fraud.errors import MisconfiguredError
    from operations.lists import write_csv

    found = _desk(config, assignments).get(name)
    text = write_csv(found.entries)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text)
    except OSError as error:
        raise MisconfiguredError(str(file), f"cannot be written: {error.strerror}") from None
    typer.echo(f"{name}: {len(found.entries):,} entries in {file}")


@app.command()
def migrate(
    why: WhyOption = "taken over from the policy's files",
    by: ByOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Take all lists of the policy's files over that the store does not have yet. The files stay as they are; their
    entries have no effect any more and can be removed.

    Example: fraud lists migrate
    """
    done = _desk(config, assignments).migrate(_author(by, why))
    write_json(json, {"lists": done})
    for name, entries in done.items():
        typer.echo(f"{name}: {entries:,} entries taken over")
    if not done:
        typer.echo("the store has all lists of the policy's files already")


def _desk(config: Path | None, assignments: list[str] | None) -> ListDesk:
    return open_desk(open_program("lists", config, assignments))


def open_desk(settings: Settings) -> ListDesk:
    """Reads and changes the living lists, beside those of the policy's files."""
    from adapters.policy.source import open_policy, policy_files
    from fraud.decision.rules.fields import fields_of
    from fraud.features import catalogue_of
    from operations.lists import ListDesk

    files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
    policies = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features))
    assert files.lists is not None
    return ListDesk(files.lists, lambda: policies.current)


def _author(by: str | None, why: str) -> Author:
    from operations.lists import Author

    return Author(by or getpass.getuser(), why)


def _entity(of: str | None) -> EntityName | None:
    from fraud.decision.policy.document import LISTED
    from fraud.decision.policy.living import ListError

    if of is not None and of not in LISTED:
        raise ListError(f"--of {of}: choose of {', '.join(LISTED)}")
    return of  # type: ignore[return-value]


def _expiry_ms(text: str) -> int:
    from fraud.decision.policy.living import expiry_ms

    days = text.removesuffix("d")
    if days != text and days.isdecimal() and len(days) < 6:
        return time.time_ns() // 1_000_000 + int(days) * _DAY_MS
    return expiry_ms(text)


def _say(name: str, done: Changed, json: Path | None) -> None:
    from dataclasses import asdict

    write_json(json, {"name": name} | asdict(done))
    counts = {
        "added": done.added,
        "replaced": done.replaced,
        "removed": done.removed,
        "not on it": done.absent,
        "taken over from the policy": done.taken_over,
    }
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing to do"
    typer.echo(f"{name}: {said}; lists version {done.version or 'none'}")


def _until(entry: dict[str, Any]) -> str:
    if entry["expires"] is None:
        return "never"
    return f"{entry['expires'][:16]}{' (expired)' if entry['expired'] else ''}"
