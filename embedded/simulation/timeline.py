"""A schedule as people read it: who did what, when, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from embedded.simulation.schedule import Schedule
from embedded.simulation.world import START_MS, Call


def lines(timeline: Iterable[Call]) -> Iterator[str]:
    """A line for each call: its number, seconds since the beginning, who, what, what happened to it, the outcome."""
    for call in timeline:
        event = "" if call.event in ("", "switch") else f"  << {call.event} >>"
        outcome = f"  {call.outcome}" if call.outcome else ""
        yield f"{call.number:6} {_seconds(call):>10} s  {call.who:40} {call.what}{event}{outcome}".rstrip()


def page(schedule: Schedule, problems: Sequence[str]) -> str:
    """The same as an HTML page, with what is wrong."""
    import jinja2

    template = (Path(__file__).parent / "page.html").read_text()
    plan = schedule.plan
    return (
        jinja2.Environment(autoescape=True)
        .from_string(template)
        .render(
            seed=plan.seed,
            records=plan.records,
            events=len(plan.happened),
            problems=problems,
            command=f"fraud simulate --seed {plan.seed} --records {plan.records} --trace",
            timeline=[{**call._asdict(), "seconds": _seconds(call)} for call in schedule.world.timeline],
        )
    )


def _seconds(call: Call) -> str:
    return f"{(call.at_ms - START_MS) / 1000:.3f}"
