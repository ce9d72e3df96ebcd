"""One record through the features, without Arrow: what the steps cost, and what the way around them does.

A synchronous caller has one record at a time. The steps (an event built and folded into each entity's state) are what
it pays for; the way around them (order, the transaction's own values, duplicates, absent entities, appending the
features) may cost at most 50 microseconds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import typer

from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.features import transactions as generated
from benchmarks.machine import describe_machine
from fraud.features import row as form
from fraud.features.fold import EntityFold
from fraud.features.row import events_of
from fraud.path import FeaturePath
from fraud.records import Records, Row

GOAL_AROUND_US = 50
_HISTORY, _MEASURED = 40_000, 5_000
_CARDS, _MERCHANTS = 2_000, 1_000


class _Clock:
    """Adds up the time that is spent inside some functions."""

    def __init__(self) -> None:
        self.spent_ns = 0

    def timed(self, function: Any) -> Any:
        """The function, whose time is added up."""

        def call(*arguments: Any) -> Any:
            started = time.perf_counter_ns()
            result = function(*arguments)
            self.spent_ns += time.perf_counter_ns() - started
            return result

        return call


def command(json: JsonOption = None) -> None:
    """Take generated transactions through cards and merchants one at a time, after a history.

    Example: python -m benchmarks.one_record
    """
    rows: list[Row] = []
    path = FeaturePath()
    history = 0
    for batch in generated(_CARDS, _MERCHANTS, 10_000):
        if history < _HISTORY:
            path.featured(batch)
            history += batch.num_rows
        else:
            rows += map(Row, batch.to_pylist())
        if len(rows) >= _MEASURED:
            break
    steps = _Clock()
    form.events_of, EntityFold.run = steps.timed(events_of), steps.timed(EntityFold.run)  # type: ignore[method-assign]
    spent = np.array([_spent_us(path, row, steps) for row in rows])
    whole, of_steps, around = (float(value) for value in np.median([*spent.T, spent[:, 0] - spent[:, 1]], axis=1))
    figures = {"machine": describe_machine(), "records": len(rows)}
    figures |= {"whole_us": whole, "steps_us": of_steps, "around_us": around}
    write_json(json, figures)
    typer.echo(figures["machine"])
    typer.echo(f"median of {len(rows):,} records: {whole:.1f} µs, of these {of_steps:.1f} for the steps")
    typer.echo(f"around the steps {around:.1f} µs; goal {GOAL_AROUND_US}")


def _spent_us(path: FeaturePath, row: Row, steps: _Clock) -> tuple[float, float]:
    """Microseconds of a record, beginning to end, and those of its steps."""
    before, started = steps.spent_ns, time.perf_counter_ns()
    path.advance(Records(row))
    return (time.perf_counter_ns() - started) / 1_000, (steps.spent_ns - before) / 1_000


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
