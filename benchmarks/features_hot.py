"""What an event of a busy key costs against the number of events in its longest window, distinct values included.

Every value is one of as many as there are events. Most events come in order; each hundredth is two seconds late.

Run: python -m benchmarks.features_hot --json features_hot.json
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from fraud.entities import BIN, BY_NAME, Entity
from fraud.features.aggregates import Shape
from fraud.features.catalogue import DAY_MS, features_of
from fraud.features.events import Events
from fraud.features.fold import EntityFold
from fraud.features.kernel import layout
from fraud.features.state import EntityState

_MEASURED, _BATCH = 20_000, 50_000
_LATE_MS = 2_000
_GOAL_US = 5.0


def events(rng: np.random.Generator, first: int, count: int, inside: int, window_ms: int) -> Events:
    """Events of one key, of which the window holds so many; `first` came before."""
    words = rng.integers(1, 1 << 62, (count, layout.EVENT_WORDS))
    late = np.where(rng.random(count) < 0.01, _LATE_MS, 0)
    words[:, layout.EVENT_TIME] = 1_700_000_000_000 + (first + np.arange(count)) * window_ms // inside - late
    words[:, layout.EVENT_DELAY] = late
    words[:, layout.EVENT_AMOUNT] = np.rint(100 * rng.gamma(2, 30, count))
    words[:, layout.EVENT_OTHER] = rng.integers(1, inside + 1, count) * 0x9E37_79B9_7F4A
    words[:, layout.EVENT_CODES] = 0x4445 | 5412 << 16 | ord("p") << 32
    return Events(np.full(count, 7), words, np.full((count, 2), np.nan))


def measured(entity: Entity, inside: int) -> dict[str, float]:
    """Processor time of an event, how many values of it were exact, and bytes of state an event."""
    features = features_of(entity)
    window_ms = max(f.window_ms for f in features if f.aggregate.shape is Shape.WINDOW)
    fold, state = EntityFold(entity, 2 * inside, 400 * DAY_MS, "EUR", features), EntityState()
    rng = np.random.default_rng(3)
    for first in range(0, inside, _BATCH):
        fold.run(state, events(rng, first, min(_BATCH, inside - first), inside, window_ms))
    batch = events(rng, inside, _MEASURED, inside, window_ms)
    started = time.process_time()
    folded = fold.run(state, batch)
    spent_s = time.process_time() - started
    return {
        "event_us": 1e6 * spent_s / _MEASURED,
        "exact_share": float(folded.exact.mean()),
        "bytes_per_event": state.used_bytes / state.events,
    }


def command(
    sizes: Annotated[str, typer.Option(help="Events in the longest window.")] = "1000 10000 100000 1000000",
    entities: Annotated[str, typer.Option(help="Whose events.")] = "merchant bin device ip",
    json: JsonOption = None,
) -> None:
    """Measure what an event of a busy key costs.

    Example: python -m benchmarks.features_hot --sizes "10000 100000" --entities bin
    """
    machine = describe_machine()
    typer.echo(machine)
    measured(BIN, 600)  # compiles
    figures: dict[str, Any] = {"machine": machine}
    for name in entities.split():
        figures[name] = {}
        for inside in map(int, sizes.split()):
            found = figures[name][str(inside)] = measured(BY_NAME[name], inside)
            typer.echo(
                f"{name:>8} with {inside:>9,} events: {found['event_us']:6.2f} us of processor an event "
                f"(aim {_GOAL_US:g}), {found['exact_share']:.0%} exact, {found['bytes_per_event']:,.0f} bytes an event"
            )
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
