"""Runs the time machine over an archive: what the command and the console share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.decision_archive import DecisionArchive
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, KnownLabels
from fraud.backtest.machine import TimeMachine
from fraud.errors import MisconfiguredError
from fraud.policy.compiled import CompiledPolicy


def run_backtest(
    archive: DecisionArchive,
    live: CompiledPolicy,
    candidate: CompiledPolicy,
    *,
    days: int,
    maturity_days: float,
    costs: CostSheet,
    as_of: dt.datetime | None = None,
    reviews_per_day: float | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Replays archived decisions through the live policy and a candidate; gives the report of `TimeMachine`.

    Args:
        archive: decisions and labels.
        live: the policy in force.
        candidate: the one that is tried.
        days: to look back.
        maturity_days: age from which a decision is judged.
        costs: stated costs.
        as_of: look back from this time; None is the latest event.
        reviews_per_day: if given, the report also has thresholds that fit this budget, as `budget`.
        tell: is told how many decisions have been read.

    Raises:
        MisconfiguredError: there are no decisions in these days.
    """
    last = archive.last_event() if as_of is None else as_of
    labels = archive.labels()
    known_at = as_of or max(last, pc.max(labels["label_time"]).as_py() or last)
    known = KnownLabels(labels, round(known_at.timestamp() * 1000), round(maturity_days * DAY_MS))
    machine = TimeMachine(live, candidate, known, costs, search_budget=reviews_per_day is not None)
    machine.replay(_counted(archive.decisions(machine.columns, last - dt.timedelta(days=days), last), tell))
    report = machine.report()
    if not report["decisions"]:
        raise MisconfiguredError("--days", f"no decisions in the {days} days before {last:%Y-%m-%d %H:%M}")
    if machine.budget is not None and reviews_per_day is not None:
        report["budget"] = machine.budget.choose(reviews_per_day, np.random.default_rng(0))
    return report


def _counted(chunks: Iterable[pa.Table], tell: Callable[[int], None]) -> Iterator[pa.Table]:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        tell(read)
        yield chunk
