"""`fraud events`: what other systems are sent."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from typing import Annotated

import typer

from adapters.program.program import ConfigOption, SetOption, open_program

app = typer.Typer(
    help="Send alerts, decisions, verdicts and changes of lists and policy to other systems.", no_args_is_help=True
)

_STALL_S = 180.0


@app.callback()
def events() -> None:
    """Send alerts, decisions, verdicts and changes of lists and policy to other systems."""


@app.command()
def run(
    host: Annotated[str, typer.Option(help="Address that health and metrics are served at.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port of /live, /ready and /metrics; default: none.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Collect events and deliver them to the receivers of `events.receivers`, until a signal ends it.

    A kill at any time loses none: a start goes on where each receiver stands. A receiver may get an event again, under
    the same id.

    \b
    Examples:
      fraud events run --config settings.yaml
      fraud events run --config settings.yaml --port 9091
    """
    from functools import partial

    import structlog

    from adapters.alerts.table import AlertTable
    from adapters.archive.archive import open_archive
    from adapters.events.opening import open_receiver
    from adapters.events.outbox import Outbox
    from adapters.policy.source import policy_files
    from adapters.program.ports import check_port
    from adapters.program.telemetry import Telemetry
    from fraud.errors import MisconfiguredError
    from fraud.events.filters import wants
    from fraud.settings import Health
    from operations.events.collection import Collection
    from operations.events.delivery import Delivery, Figures, Patience
    from operations.events.program import EventsProgram
    from operations.events.rendering import Rendering
    from processor.health import HealthServer, Pulse

    settings = open_program("events", config, assignments)
    if port is not None:
        check_port("--port", port)
    given = settings.events
    if not given.receivers:
        raise MisconfiguredError("events.receivers", "names no receiver (docs/events.md)")
    receivers = {name: open_receiver(name, place, settings.aws) for name, place in given.receivers.items()}
    for receiver in receivers.values():
        receiver.require()
    archive = open_archive(settings.archive, settings.aws)
    archive.require()
    alerts = AlertTable(settings.alerts, settings.aws)
    alerts.require()
    lists = policy_files(settings.policy.path, settings.aws, settings.lists.path).lists
    outbox, telemetry, pulse = Outbox(archive), Telemetry(), Pulse(_STALL_S)
    rendering = Rendering(archive, alerts, lists, given.source)
    ending = threading.Event()
    for ended_by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ended_by, lambda *_: ending.set())
    from_first = given.start == "earliest"
    collection = Collection(
        archive,
        settings.job.query,
        alerts,
        lists,
        outbox,
        rendering.events,
        lambda: time.time_ns() // 1_000_000,
        from_now=not from_first,
    )
    deliveries = {
        name: Delivery(
            name,
            receiver,
            partial(wants, given.receivers[name]),
            outbox,
            rendering.events,
            Patience(given.give_up_s, given.pause_s),
            Figures(telemetry.add, telemetry.set),
            ending.wait,
        )
        for name, receiver in receivers.items()
    }

    def beat() -> None:
        pulse.ready = True
        pulse.beat()

    with ExitStack() as resources:
        log = structlog.get_logger()
        if port is not None:
            health = resources.enter_context(HealthServer(Health(host=host, port=port), pulse, telemetry))
            log.info("health_address", host=host, port=health.port)
        log.info("events_started", receivers=sorted(receivers))
        EventsProgram(collection, deliveries, ending, given.poll_ms / 1000, from_first, telemetry.add, beat).run()
