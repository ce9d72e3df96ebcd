"""What an event costs against the number of cards, from 10 thousand to a million, with a plot.

Each card has a few events before the measurement, and the next ones come at random, so every event meets a card that no
cache holds: the worst case.

Run: python -m benchmarks.features_keys --plot docs/images/features-keys.svg --json features_keys.json
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from fraud.entities import CARD
from fraud.features.catalogue import DAY_MS, features_of
from fraud.features.events import Events
from fraud.features.fold import EntityFold
from fraud.features.kernel import layout
from fraud.features.state import EntityState

_BATCH = 20_000
_BEFORE = 5
_MEASURED = 4
_SPAN_MS = 20 * DAY_MS


def events(rng: np.random.Generator, keys: np.ndarray, count: int, number: int, total: int) -> Events:
    """Events of random cards; `number` of `total` says how late in the span they are."""
    words = rng.integers(1, 2**40, (count, layout.EVENT_WORDS))
    words[:, layout.EVENT_TIME] = 1_700_000_000_000 + (number + np.arange(count)) * _SPAN_MS // total
    words[:, layout.EVENT_DELAY] = 0
    words[:, layout.EVENT_AMOUNT] = np.rint(100 * rng.gamma(2, 30, count))
    words[:, layout.EVENT_CODES] = 0x4445 | 5412 << 16 | ord("p") << 32
    places = np.column_stack([rng.uniform(40, 55, count), rng.uniform(-5, 20, count)])
    return Events(rng.choice(keys, count), words, places)


def microseconds_per_event(cards: int) -> tuple[float, float]:
    """Processor time of an event, and bytes of state a card."""
    rng = np.random.default_rng(3)
    keys = rng.permutation(np.unique(rng.integers(1, 2**62, cards)))
    fold, state = EntityFold(CARD, 1_024, 400 * DAY_MS, "EUR", features_of(CARD)), EntityState()
    total = _BEFORE * cards + _MEASURED * _BATCH
    for number in range(0, _BEFORE * cards, _BATCH):
        fold.run(state, events(rng, keys, min(_BATCH, _BEFORE * cards - number), number, total))
    measured = [events(rng, keys, _BATCH, _BEFORE * cards + n * _BATCH, total) for n in range(_MEASURED)]
    started = time.process_time()
    for batch in measured:
        fold.run(state, batch)
    spent_s = time.process_time() - started
    return 1e6 * spent_s / (_MEASURED * _BATCH), state.used_bytes / state.keys


def draw(cards: list[int], cost_us: list[float], machine: str, file: Path) -> None:
    """Cost against cards."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(cards, cost_us, marker="o")
    axes.set(xscale="log", ylim=(0, 1.3 * max(cost_us)), xlabel="cards", ylabel="processor time of an event, µs")
    axes.set_title("Full catalogue of a card, random cards", loc="left")
    axes.grid(alpha=0.3)
    figure.text(0.01, -0.04, machine, fontsize=6)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None} if file.suffix == ".svg" else None)


def command(
    cards: Annotated[str, typer.Option(help="Numbers of cards to measure.")] = "10000 30000 100000 300000 1000000",
    plot: Annotated[Path | None, typer.Option(help="Draw into this SVG or PNG file.")] = None,
    json: JsonOption = None,
) -> None:
    """Measure what an event costs against the number of cards.

    Example: python -m benchmarks.features_keys --cards "10000 100000"
    """
    machine = describe_machine()
    typer.echo(machine)
    microseconds_per_event(1_000)  # compiles
    counts = [int(count) for count in cards.split()]
    figures: dict[str, Any] = {"machine": machine, "cost_us": {}, "bytes_per_card": {}}
    for count in counts:
        cost_us, size = microseconds_per_event(count)
        figures["cost_us"][str(count)], figures["bytes_per_card"][str(count)] = cost_us, size
        typer.echo(f"{count:>9,} cards: {cost_us:5.2f} us of processor an event, {size:,.0f} bytes a card")
    if plot is not None:
        draw(counts, list(figures["cost_us"].values()), machine, plot)
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
