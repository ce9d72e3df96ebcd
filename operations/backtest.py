"""Runs a backtest over an archive: what the command and the console share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from adapters.archive.decision_archive import DecisionArchive
from fraud.backtest.costs import CostSheet
from fraud.backtest.labels import DAY_MS, KnownLabels
from fraud.backtest.machine import TimeMachine
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.errors import MisconfiguredError

AS_NOW: Literal["as now"] = "as now"
"""A budget of as many reviews as the candidate opens."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def run_backtest(
    archive: DecisionArchive,
    live: CompiledPolicy,
    candidate: CompiledPolicy,
    *,
    days: int | None,
    maturity_days: float,
    costs: CostSheet,
    as_of: dt.datetime | None = None,
    reviews_per_day: float | Literal["as now"] | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> dict[str, Any]:
    """Replays archived decisions through the live policy and a candidate; gives the report of `TimeMachine`.

    Args:
        archive: decisions and labels.
        live: the policy in force.
        candidate: the one that is tried.
        days: to look back; None for all.
        maturity_days: age from which a decision is evaluated.
        costs: stated costs.
        as_of: look back from this time; None is the latest event.
        reviews_per_day: if given, the report also has thresholds that fit this budget, as `budget`.
        progress: called with the number of decisions read so far, and of all that will be read.

    Raises:
        MisconfiguredError: there are no decisions in these days.
    """
    last = archive.last_event() if as_of is None else as_of
    labels = archive.labels()
    known_at = as_of or archive.last_known()
    known = KnownLabels(labels, round(known_at.timestamp() * 1000), round(maturity_days * DAY_MS))
    machine = TimeMachine(live, candidate, known, costs, search_budget=reviews_per_day is not None)
    since = _EPOCH if days is None else last - dt.timedelta(days=days)
    total = archive.count(since, last)
    machine.replay(_counted(archive.decisions(machine.columns, since, last), lambda read: progress(read, total)))
    report = machine.report()
    if not report["decisions"]:
        looked = "" if days is None else f"in the {days} days "
        raise MisconfiguredError("--days", f"no decisions {looked}before {last:%Y-%m-%d %H:%M}")
    if machine.budget is not None and reviews_per_day is not None:
        budget = machine.reviews_per_day if reviews_per_day == AS_NOW else reviews_per_day
        report["budget"] = machine.budget.choose(budget, np.random.default_rng(0))
    return report


def _counted(chunks: Iterable[pa.Table], progress: Callable[[int], None]) -> Iterator[pa.Table]:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        progress(read)
        yield chunk
