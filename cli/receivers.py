"""`fraud receivers`: those who get events."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json

if TYPE_CHECKING:
    from adapters.events.outbox import Outbox, Standing
    from fraud.settings import EventReceiver, Settings

app = typer.Typer(help="Show those who get events, try one out, or send events again.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the receiver in events.receivers.")]

_SPAN = re.compile(r"(\d+)([mhd])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}
_ATTEMPTS = 10


@app.command("list")
def list_(config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None) -> None:
    """Show every receiver: where it is, what it wants, how far it is, and whether it is paused and why.

    \b
    Examples:
      fraud receivers list
      fraud receivers list --json receivers.json
    """
    settings = open_program("receivers", config, assignments)
    outbox = _outbox(settings)
    outbox.last()
    found = [_described(name, place, outbox) for name, place in settings.events.receivers.items()]
    write_json(json, {"receivers": found})
    for each in found:
        typer.echo(f"{each['name']}: {each['kind']} {each['address']}; {each['wants']}; {each['state']}")
    if not found:
        typer.echo("events.receivers names none (docs/events.md)")


@app.command("test")
def try_out(name: NameArgument, config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Send one event of type `fraud.receiver.tested`, whatever the receiver wants, and say whether it was taken.

    \b
    Example:
      fraud receivers test siem
    """
    from adapters.events.opening import open_receiver
    from fraud.errors import FatalError
    from fraud.events.event import trial

    settings = open_program("receivers", config, assignments)
    receiver = open_receiver(name, _place(settings, name), settings.aws)
    receiver.require()
    event = trial(name, time.time_ns() // 1_000_000, settings.events.source)
    for _, problem in receiver.send([event]):
        raise FatalError(f"{name} did not take it: {problem}")
    typer.echo(f"{name} took the event {event.id}")


@app.command()
def replay(
    name: NameArgument,
    since: Annotated[
        str, typer.Option(help="From when on: 2026-12-31T18:00:00Z, or 90m, 6h, 7d ago; 0m leaves out what waits.")
    ],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Send events again, under their ids, from a time on; a paused receiver goes on from there.

    A running `fraud events run` takes it up within a second; else the next one does. Later events follow in order. A
    time that lies ahead of what waits leaves that out.

    \b
    Examples:
      fraud receivers replay siem --since 2026-12-31T18:00:00Z
      fraud receivers replay siem --since 6h
    """
    from msgspec.structs import replace

    from fraud.errors import RetryableError

    settings = open_program("receivers", config, assignments)
    _place(settings, name)
    outbox = _outbox(settings)
    entry = outbox.first_since(_since_ms(since)) - 1
    for _ in range(_ATTEMPTS):
        standing, tag = outbox.standing(name)
        moved = replace(standing, entry=entry, after="", paused_ms=None, problem="")
        if outbox.set_standing(name, moved, tag):
            typer.echo(f"{name} gets what was collected after entry {entry:,} of {outbox.end:,}")
            return
    raise RetryableError(f"{name} is moving on too fast; try again")


def _outbox(settings: Settings) -> Outbox:
    from adapters.archive.archive import open_archive
    from adapters.events.outbox import Outbox

    archive = open_archive(settings.archive, settings.aws)
    archive.require()
    return Outbox(archive)


def _place(settings: Settings, name: str) -> EventReceiver:
    from fraud.errors import MisconfiguredError

    if name not in settings.events.receivers:
        known = ", ".join(settings.events.receivers) or "none"
        raise MisconfiguredError("events.receivers", f"has no {name}; it names {known}")
    return settings.events.receivers[name]


def _described(name: str, place: EventReceiver, outbox: Outbox) -> dict[str, Any]:
    from adapters.events.opening import shown_address

    standing, tag = outbox.standing(name)
    return {
        "name": name,
        "kind": place.kind,
        "address": shown_address(place),
        "wants": _wants(place),
        "state": "not begun" if tag is None else _state(standing, outbox),
        "entry": standing.entry,
        "behind": outbox.end - standing.entry,
        "delivered": standing.delivered,
        "delivered_at": _time(standing.delivered_ms),
        "paused_since": _time(standing.paused_ms),
        "problem": standing.problem,
    }


def _wants(place: EventReceiver) -> str:
    """What a receiver wants, in words."""
    said = place.model_dump(include={"types", "outcomes", "rules", "min_severity", "min_billing_amount_minor"})
    parts = [
        f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in said.items()
        if value
    ]
    return "; ".join(parts) or "all events"


def _state(standing: Standing, outbox: Outbox) -> str:
    waiting = outbox.end - standing.entry
    if standing.paused_ms is not None:
        return f"paused since {_time(standing.paused_ms)}, {waiting:,} entries wait: {standing.problem}"
    last = "none yet" if standing.delivered_ms is None else f"last {_time(standing.delivered_ms)}"
    return f"{standing.delivered:,} events delivered, {last}, {waiting:,} entries wait"


def _time(at_ms: int | None) -> str | None:
    from fraud.events.event import rfc3339

    return None if at_ms is None else rfc3339(at_ms)


def _since_ms(text: str) -> int:
    from fraud.errors import MisconfiguredError

    if span := _SPAN.fullmatch(text):
        return int((time.time() - int(span[1]) * _SECONDS[span[2]]) * 1000)
    try:
        at = dt.datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise MisconfiguredError(f"--since {text}", "is no time such as 2026-12-31T18:00:00Z, 90m, 6h or 7d")
