"""Makes a failing schedule as short as it can be: fewer records, fewer events, the same fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from embedded.simulation.plan import Plan
from embedded.simulation.schedule import run_schedule
from embedded.simulation.verify import problems_of


def shrink(plan: Plan, fails: Callable[[Plan], bool], most_runs: int = 200) -> Plan:
    """The shortest schedule found that still fails.

    Records are halved first, then events are left out, many at a time and then one by one (delta debugging).

    Args:
        plan: that failed when it was run.
        fails: whether a plan fails; it is given fresh ones.
        most_runs: most schedules that are tried.
    """
    records, events, runs = plan.records, dict(plan.happened), 0

    def still_fails(tried: Plan) -> bool:
        nonlocal runs
        runs += 1
        return runs <= most_runs and fails(tried)

    for fewer in _halves(records):
        drawn = Plan(plan.seed, fewer)  # its events are drawn again, and fit what fewer records do
        if not still_fails(drawn):
            break
        records, events = fewer, dict(drawn.happened)
    size = max(1, len(events) // 2)
    while events and runs < most_runs:
        for some in _parts(sorted(events), size):
            fewer_events = {call: event for call, event in events.items() if call not in some}
            if still_fails(Plan(plan.seed, records, fewer_events)):
                events = fewer_events
        if size == 1:
            break
        size = max(1, size // 2)
    return Plan(plan.seed, records, events)


def fails(plan: Plan) -> bool:
    """Whether something is wrong with what a schedule leaves."""
    return bool(problems_of(run_schedule(plan)))


def _halves(records: int) -> list[int]:
    halves = []
    while records > 1:
        records //= 2
        halves.append(records)
    return halves


def _parts(calls: Sequence[int], size: int) -> list[frozenset[int]]:
    return [frozenset(calls[start : start + size]) for start in range(0, len(calls), size)]
