"""What compaction costs while state grows and once it is full: time of each batch, bytes to the checkpoint, memory.

The key groups of a job are advanced as Spark would advance them, without Spark, in one process. A batch's time is its
processor time, so that what else runs on the machine counts as little as possible.

Run: python -m benchmarks.compaction --plot docs/images/compaction.svg --json compaction.json
"""

from __future__ import annotations

import resource
import shutil
import statistics
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pyarrow.compute as pc
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.features import transactions as generated
from benchmarks.key_groups import KeyGroups, Written
from benchmarks.machine import describe_machine
from fraud.entities import measured
from fraud.features.catalogue import DAY_MS
from fraud.features.warm_up import compile_kernels
from fraud.settings import Job, Settings
from processor.keyed_state.local_copy import open_copy

_FOLDER = Path(".local/compaction")
_WARM_UP = 5


class Batch(NamedTuple):
    """A batch of all entity kinds.

    Attributes:
        spent_s: processor time.
        written: to the logs.
        log_bytes: of all logs then.
        peak_bytes: most memory of the process until then.
    """

    spent_s: float
    written: Written
    log_bytes: int
    peak_bytes: int


def run(days: int, cards: int, merchants: int, key_groups: int, size: int) -> tuple[list[Batch], int]:
    """Folds so many days of traffic; every batch, and how many events are remembered in the end."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    settings = Settings(job=Job(key_groups=key_groups))
    kinds = [KeyGroups(entity, settings, _FOLDER) for entity in measured(settings.job)]
    batches: list[Batch] = []
    first_ms = None
    for batch in generated(cards, merchants, size):
        now_ms = pc.max(batch["event_time"]).cast("int64").as_py()
        first_ms = now_ms if first_ms is None else first_ms
        started, written = time.process_time(), Written()
        for kind in kinds:
            batch, more = kind.advance(batch)
            written = written.plus(more)
        spent_s = time.process_time() - started
        log_bytes = sum(head.log_bytes for kind in kinds for head in kind.heads.values())
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        batches.append(Batch(spent_s, written, log_bytes, peak_bytes))
        if now_ms - first_ms >= days * DAY_MS:
            break
    events = 0
    for kind in kinds:
        for group in kind.heads:
            with open_copy(kind.folder(group)) as copy:
                events += copy.state.events
    return batches[_WARM_UP:], events


def figures_of(batches: list[Batch], events: int) -> dict[str, Any]:
    """What the batches say of compaction."""
    spent = [batch.spent_s for batch in batches]
    whole = Written()
    for batch in batches:
        whole = whole.plus(batch.written)
    return {
        "batches": len(batches),
        "events": events,
        "batch_median_ms": 1e3 * statistics.median(spent),
        "batch_longest_ms": 1e3 * max(spent),
        "longest_to_median": max(spent) / statistics.median(spent),
        "with_pieces": sum(batch.written.pieces > 0 for batch in batches),
        "most_pieces_of_a_batch": max(batch.written.pieces for batch in batches),
        "logged_bytes": whole.logged,
        "snapshot_bytes": whole.snapshots,
        "log_bytes": batches[-1].log_bytes,
        "peak_bytes": batches[-1].peak_bytes,
    }


def draw(batches: list[Batch], machine: str, file: Path) -> None:
    """The time of every batch, and the bytes that went to the checkpoint."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, figsize=(8, 5), sharex=True, layout="constrained")
    numbers = range(len(batches))
    above.plot(numbers, [1e3 * batch.spent_s for batch in batches], linewidth=0.6)
    median_ms = 1e3 * statistics.median(batch.spent_s for batch in batches)
    above.axhline(2 * median_ms, linestyle="--", color="grey", linewidth=0.8)
    above.annotate("twice the median", (0, 2 * median_ms), va="bottom", fontsize=8)
    above.set(ylabel="processor time, ms", ylim=(0, None))
    above.set_title("Batches of all key groups and entities", loc="left")
    below.plot(numbers, [batch.written.logged / 1e6 for batch in batches], label="folded", linewidth=0.8)
    below.plot(numbers, [batch.written.snapshots / 1e6 for batch in batches], label="snapshots", linewidth=0.6)
    below.set(xlabel="batch", ylabel="MB to the checkpoint")
    below.legend(frameon=False)
    figure.text(0.01, -0.03, machine, fontsize=6)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None} if file.suffix == ".svg" else None)


def command(
    days: Annotated[int, typer.Option(min=1, help="Days of traffic; windows are full after 31.")] = 45,
    cards: Annotated[int, typer.Option(min=100, help="Cards of the population.")] = 4_000,
    merchants: Annotated[int, typer.Option(min=100, help="Merchants of the population.")] = 1_000,
    key_groups: Annotated[int, typer.Option(min=1, max=1024, help="Key groups of each entity.")] = 16,
    size: Annotated[int, typer.Option(min=100, help="Transactions of a batch.")] = 1_000,
    plot: Annotated[Path | None, typer.Option(help="Draw into this SVG or PNG file.")] = None,
    json: JsonOption = None,
) -> None:
    """Measure each batch of a growing, then full state.

    Example: python -m benchmarks.compaction --days 10 --cards 2000
    """
    compile_kernels()
    machine = describe_machine()
    typer.echo(machine)
    batches, events = run(days, cards, merchants, key_groups, size)
    figures = {"machine": machine} | figures_of(batches, events)
    typer.echo(
        f"{figures['batches']:,} batches, {events:,} events remembered; median {figures['batch_median_ms']:.0f} ms, "
        f"longest {figures['longest_to_median']:.2f} times that; pieces of snapshots in {figures['with_pieces']:,} "
        f"batches, at most {figures['most_pieces_of_a_batch']} in one; {figures['logged_bytes'] / 1e6:.1f} MB folded, "
        f"{figures['snapshot_bytes'] / 1e6:.1f} MB of snapshots written, logs of {figures['log_bytes'] / 1e6:.1f} MB "
        f"remain; most memory {figures['peak_bytes'] / 1e6:.0f} MB"
    )
    if plot is not None:
        draw(batches, machine, plot)
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
