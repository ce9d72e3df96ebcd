"""A failing schedule becomes as short as its fault needs."""

from __future__ import annotations

import pytest

from embedded.simulation.plan import Plan
from embedded.simulation.schedule import run_schedule
from embedded.simulation.shrink import fails, shrink
from embedded.simulation.timeline import lines, page
from embedded.simulation.verify import problems_of
from tests.support.mutations import MUTATIONS

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # who is killed closes nothing


def test_only_the_events_that_a_fault_needs_are_left() -> None:
    drawn = Plan(7, 200, happened=dict.fromkeys(range(40), "switch") | {5: "crash job after", 31: "fault partial"})

    def needs_two(plan: Plan) -> bool:
        return plan.events is not None and {5, 31} <= plan.events.keys()

    assert shrink(drawn, needs_two) == Plan(7, 200, {5: "crash job after", 31: "fault partial"})


def test_fewer_records_are_tried_first_with_the_events_that_they_meet() -> None:
    def needs_ten(plan: Plan) -> bool:
        plan.happened = {1: "switch"}
        return plan.records >= 10

    assert shrink(Plan(7, 200, happened={1: "switch"}), needs_ten) == Plan(7, 12, {})


def test_a_planted_fault_is_shrunk_to_a_timeline_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS["an alert has a time of its own"](monkeypatch)
    plan = Plan(2, 24)
    assert fails(plan)
    shortest = shrink(plan, fails, most_runs=12)
    assert shortest.records < 24
    schedule = run_schedule(shortest, keep=True)
    problems = problems_of(schedule)
    assert "decided_ms" in problems[0]
    drawn = page(schedule, problems)
    assert problems[0].split("/")[0] in drawn
    assert drawn.count("<tr") == len(list(lines(schedule.world.timeline))) + 1
