"""From two to four partitions while records keep arriving: what is lost, duplicated or different, and how long it is.

A local stack streams; the job is stopped as its operator would, its state is moved, the job goes on. In the end all
that it stored is compared with what one uninterrupted process computes from the streams.

Run: python -m benchmarks.rescale --json rescale.json
"""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.aws.provision import provision
from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from benchmarks.machine import describe_machine
from embedded.chaos.fault_proxy import fault_proxy
from embedded.chaos.killer import Killer
from embedded.chaos.object_store import object_store
from embedded.chaos.stores import compare_stores
from embedded.stack import LocalStack

_FOLDER = Path(".local/rescale")
_BEFORE = 2
_FIRST_DAY = dt.date(2026, 3, 2)


def command(
    partitions: Annotated[int, typer.Option(min=1, max=64, help=f"Partitions to move to, from {_BEFORE}.")] = 4,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Stop, move, go on, compare.

    Example: python -m benchmarks.rescale --partitions 8
    """
    given = [f"job.partitions={_BEFORE}", f"job.key_groups={max(_BEFORE, partitions)}", *(assignments or [])]
    settings = open_program("rescale", config, given)
    began = time.monotonic()

    def note(what: str) -> None:
        typer.echo(f"{time.monotonic() - began:6.1f} s  {what}")

    with LocalStack(settings, _FOLDER) as stack, object_store(stack.folder / "store") as store:
        services = {"s3": store.url, "": str(stack.settings.aws.endpoint_url)}
        with fault_proxy(services) as calm:
            aws = stack.settings.aws.model_copy(update={"endpoint_url": calm.url})
            stack.settings = stack.settings.model_copy(update={"aws": aws})
            stack.write_settings(stack.settings)
            provision(stack.settings)
            killer = Killer(stack, store, calm, random.Random(7), _FIRST_DAY, note)
            seconds = killer.rescale(partitions)
            note("comparing with what one process computes from the streams")
            stores = compare_stores(stack.settings, None)
    figures: dict[str, Any] = {"machine": describe_machine(), "before": _BEFORE, "partitions": partitions}
    for name in ("lost", "duplicated", "different"):
        figures[name] = sum(getattr(one, name) for one in stores.values())
    figures |= {"expected": sum(one.expected for one in stores.values()), "seconds": round(seconds, 1)}
    typer.echo(figures["machine"])
    typer.echo(
        f"of {figures['expected']:,} items {figures['lost']} lost, {figures['duplicated']} duplicated, "
        f"{figures['different']} different; {seconds:.1f} s from the order to stop until the job ran again"
    )
    write_json(json, figures)
    if figures["lost"] or figures["duplicated"] or figures["different"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
