"""Bytes of state per card and merchant, in the local copy and in the checkpoint's log, as a stream goes on.

The key groups of a job are advanced as Spark would advance them, without Spark. The long form is ten million
transactions:

Run: python -m benchmarks.features_state --transactions 10000000 --json features_state.json
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.features import transactions as generated
from benchmarks.machine import describe_machine
from fraud.entities import Entity, measured
from fraud.features.warm_up import compile_kernels
from fraud.path import Step
from fraud.records import Records
from fraud.settings import Settings
from processor.envelope import by_group
from processor.keyed_state.group import advance_group
from processor.keyed_state.local_copy import open_copy
from processor.keyed_state.log import EMPTY, Head

_FOLDER = Path(".local/features-state")
_BATCH = 20_000
_LOOKS = 10


class Sizes(NamedTuple):
    """Of an entity kind, over all key groups.

    Attributes:
        keys: cards or merchants.
        used: bytes of the local copies that are in use.
        files: bytes that the local copies take on disk.
        log: bytes of the logs in the checkpoint, before what Spark's store adds.
    """

    keys: int
    used: int
    files: int
    log: int


class Groups:
    """The key groups of an entity kind with their logs, which Spark would keep."""

    def __init__(self, entity: Entity, settings: Settings) -> None:
        self._entity = entity
        self._groups = settings.job.key_groups
        self._step = Step(entity, settings)
        self._heads: dict[int, Head] = {}
        self._logs: dict[int, list[bytes]] = {}

    def advance(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Folds a batch; gives it back with its features."""
        staged = []
        for group, part in by_group(Records(batch), self._entity, self._groups):
            log = self._logs.setdefault(group, [])
            head = self._heads.get(group, EMPTY)
            change = advance_group(self._folder(group), self._step, head, lambda log=log: log, part)  # type: ignore[misc]
            self._heads[group] = change.head
            self._logs[group] = list(change.entries) if change.compacted else [*log, *change.entries]
            staged.append(change.records.transactions)
        return pa.concat_batches(staged)

    def _folder(self, group: int) -> Path:
        return _FOLDER / self._entity.name / str(group)

    def sizes(self) -> Sizes:
        """What they take now."""
        keys = used = files = 0
        for group in self._heads:
            with open_copy(self._folder(group)) as copy:
                keys += copy.state.keys
                used += copy.state.used_bytes
            files += sum(file.stat().st_blocks * 512 for file in self._folder(group).iterdir())
        return Sizes(keys, used, files, sum(head.log_bytes for head in self._heads.values()))


def command(
    transactions: Annotated[int, typer.Option(min=200_000, help="Transactions.")] = 1_000_000,
    cards: Annotated[int, typer.Option(min=100, help="Cards of the population.")] = 50_000,
    merchants: Annotated[int, typer.Option(min=100, help="Merchants of the population.")] = 10_000,
    json: JsonOption = None,
) -> None:
    """Follow the size of the state through a stream.

    Example: python -m benchmarks.features_state --transactions 400000 --cards 5000
    """
    shutil.rmtree(_FOLDER, ignore_errors=True)
    compile_kernels()
    settings = Settings()
    groups = {entity: Groups(entity, settings) for entity in measured(settings.job)}
    figures: dict[str, Any] = {"machine": describe_machine(), "looks": []}
    typer.echo(figures["machine"])
    done, started = 0, time.process_time()
    for batch in generated(cards, merchants, _BATCH):
        before = done * _LOOKS // transactions
        for group in groups.values():
            batch = group.advance(batch)
        done += batch.num_rows
        if done * _LOOKS // transactions > before:
            figures["looks"].append({"transactions": done, "processor_s": time.process_time() - started})
            for entity, group in groups.items():
                sizes = group.sizes()
                figures["looks"][-1][entity.name] = sizes._asdict()
                each = [size / sizes.keys for size in sizes[1:]]
                typer.echo(
                    f"{done:>11,} transactions, {sizes.keys:>8,} {entity}s: "
                    f"{each[0]:,.0f} bytes in use, {each[1]:,.0f} on disk, {each[2]:,.0f} in the checkpoint's log each"
                )
        if done >= transactions:
            break
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
