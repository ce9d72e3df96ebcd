"""Bytes of state of each entity kind, in the local copy and in the checkpoint's log, as a stream goes on.

The key groups of a job are advanced as Spark would advance them, without Spark. What a remembered event costs is what
the state takes beyond the same keys without events, over the events; of all entity kinds the worst is reported.

Run: python -m benchmarks.features_state --days 31 --cards 2000 --merchants 1000 --json features_state.json
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.features import FIRST_DAY
from benchmarks.features import transactions as generated
from benchmarks.key_groups import KeyGroups
from benchmarks.machine import describe_machine
from fraud.entities import Entity, measured
from fraud.features.catalogue import DAY_MS
from fraud.features.kernel import layout
from fraud.features.state import SHAPES, EntityState, MemoryArrays
from fraud.features.warm_up import compile_kernels
from fraud.settings import Settings
from processor.keyed_state.local_copy import open_copy
from processor.keyed_state.log import snapshot_entries

_FOLDER = Path(".local/features-state")
_BATCH = 5_000
_LOOKS = 10


class Sizes(NamedTuple):
    """Of an entity kind, over all key groups.

    Attributes:
        keys: cards or merchants.
        events: that are remembered of them.
        used: bytes of the local copies that are in use.
        used_by_keys: the same without events.
        files: bytes that the local copies take on disk.
        snapshot: bytes of compacted snapshots, before what Spark's store adds.
        snapshot_of_keys: the same without events.
        log: bytes of the logs in the checkpoint, before what Spark's store adds.
        beyond: those of them that lie beyond the last snapshots.
    """

    keys: int
    events: int
    used: int
    used_by_keys: int
    files: int
    snapshot: int
    snapshot_of_keys: int
    log: int
    beyond: int

    @property
    def local_bytes_per_event(self) -> float:
        """What an event costs in the local copy."""
        return (self.used - self.used_by_keys) / self.events

    @property
    def checkpoint_bytes_per_event(self) -> float:
        """What an event costs in a compacted snapshot."""
        return (self.snapshot - self.snapshot_of_keys) / self.events

    def figures(self) -> dict[str, float]:
        """All of it, and what a key costs."""
        return self._asdict() | {
            "local_bytes_per_event": self.local_bytes_per_event,
            "checkpoint_bytes_per_event": self.checkpoint_bytes_per_event,
            "local_bytes_per_key": self.used_by_keys / self.keys,
            "checkpoint_bytes_per_key": self.snapshot_of_keys / self.keys,
        }


def without_events(state: EntityState) -> EntityState:
    """The same keys, as if all their events had been forgotten."""
    arrays = MemoryArrays()
    for name in SHAPES:
        setattr(arrays, name, getattr(state.arrays, name).copy())
    arrays.meta[[layout.META_SLAB, layout.META_EVENTS, layout.META_ODD, layout.META_COUNTS]] = 0
    arrays.rows[:, [*range(layout.ROW_REGION, layout.ROW_END + 1), layout.ROW_COUNTS]] = 0
    return EntityState(arrays)


def snapshot_bytes(state: EntityState) -> int:
    """The size of a compacted log."""
    return sum(len(entry) for entry in snapshot_entries(state))


def sizes_of(groups: KeyGroups) -> Sizes:
    """What the key groups of an entity kind take now."""
    found = []
    for group, head in groups.heads.items():
        folder = groups.folder(group)
        with open_copy(folder) as copy:
            state, bare = copy.state, without_events(copy.state)
            in_copy = (state.keys, state.events, state.used_bytes, bare.used_bytes)
            snapshots = (snapshot_bytes(state), snapshot_bytes(bare))
        files = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
        found.append((*in_copy, files, *snapshots, head.log_bytes, head.log_bytes - head.snapshot_bytes))
    return Sizes(*map(sum, zip(*found, strict=True)))


def command(
    days: Annotated[int, typer.Option(min=1, help="Days of traffic.")] = 31,
    cards: Annotated[int, typer.Option(min=100, help="Cards of the population.")] = 50_000,
    merchants: Annotated[int, typer.Option(min=100, help="Merchants of the population.")] = 10_000,
    json: JsonOption = None,
) -> None:
    """Follow the size of the state through days of traffic.

    Example: python -m benchmarks.features_state --days 31 --cards 2000 --merchants 1000
    """
    shutil.rmtree(_FOLDER, ignore_errors=True)
    compile_kernels()
    settings = Settings()
    groups = {entity: KeyGroups(entity, settings, _FOLDER) for entity in measured(settings.job)}
    figures: dict[str, Any] = {"machine": describe_machine(), "looks": []}
    typer.echo(figures["machine"])
    done, looked, started, passed_ms = 0, 0, time.process_time(), 0
    for batch in generated(cards, merchants, _BATCH):
        for group in groups.values():
            batch, _ = group.advance(batch)
        done += batch.num_rows
        passed_ms = pc.max(batch["event_time"]).cast(pa.int64()).as_py() - FIRST_DAY * DAY_MS
        if passed_ms * _LOOKS // (days * DAY_MS) > looked:
            looked = passed_ms * _LOOKS // (days * DAY_MS)
            look = _look(groups)
            figures["looks"].append({"transactions": done, "processor_s": time.process_time() - started} | look)
            typer.echo(f"{done:,} transactions, {passed_ms / DAY_MS:.1f} days")
        if passed_ms >= days * DAY_MS:
            break
    last = figures["looks"][-1]
    for name in ("local_bytes_per_event", "checkpoint_bytes_per_event"):
        figures[name] = max(last[entity.name][name] for entity in groups)
    typer.echo(
        f"an event of the worst entity: {figures['local_bytes_per_event']:.1f} bytes in the local copy, "
        f"{figures['checkpoint_bytes_per_event']:.1f} in a compacted snapshot"
    )
    write_json(json, figures)


def _look(groups: dict[Entity, KeyGroups]) -> dict[str, dict[str, float]]:
    """What each entity kind takes now, said and as figures."""
    found = {}
    for entity, group in groups.items():
        sizes = sizes_of(group)
        found[entity.name] = sizes.figures()
        typer.echo(
            f"{sizes.keys:>9,} {entity}s, {sizes.events:>9,} events; bytes in use "
            f"{sizes.local_bytes_per_event:4.1f} an event, {sizes.used_by_keys / sizes.keys:4.0f} a key; in a snapshot "
            f"{sizes.checkpoint_bytes_per_event:4.1f}, {sizes.snapshot_of_keys / sizes.keys:4.0f}; on disk "
            f"{sizes.files:,}; log {sizes.log:,}, beyond its snapshot {sizes.beyond:,}"
        )
    return found


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
