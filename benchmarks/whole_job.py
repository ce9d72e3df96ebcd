"""The whole job on this machine, emulator and producer beside it: latency from event to alert, its budget, its course.

Run: python -m benchmarks.whole_job --rate 1000 --seconds 60 --json whole_job.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.program import metrics
from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from benchmarks import load
from benchmarks.machine import describe_machine
from benchmarks.watch import Watch, between, course, echo_figures, histogram, phases_ms, tenths
from embedded.emulator import free_port
from embedded.run import Run
from embedded.stack import LocalStack

_FOLDER = Path(".local/whole-job")
_WARM_UP = 20_000
_LOOK_S = 5.0
_BUDGET = ("put", "wait", "plan", "state", "score", "archive", "alerts")


def command(
    rate: Annotated[float, typer.Option(min=1, help="Transactions a second that are offered.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=10, help="How long.")] = 60,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Stream at a rate through the local stack and print what it did behind the first tenth, which compiles and warms.

    The state begins with the history of `benchmarks.load`. `--set model.endpoint=fraud` scores through an endpoint.

    Example: python -m benchmarks.whole_job --rate 1000 --seconds 60
    """
    typer.echo(describe_machine())
    port = free_port()
    settings = open_program("whole-job", config, assignments, {"health.port": port, "log.level": "info"})
    settings = load.with_budget(settings, _FOLDER.with_name("whole-job-policy"))
    watch: Watch | None = None

    def look(*_: Any) -> None:
        if watch is not None:
            watch.look(_LOOK_S)

    with LocalStack(settings, _FOLDER) as stack:
        load.backfill(stack.settings)
        run = Run(stack, look, load.HISTORY)
        job = run.start(load.PRODUCER, _WARM_UP)
        watch = Watch(port, job.pid)
        watch.look()
        pace = ["--num-transactions", str(int(rate * seconds)), "--rate", str(rate)]
        run.stream(load.PRODUCER, pace, None)
        run.settle()
        watch.look()
        looks, watch = watch.looks, None
        run.stop()
    tally = run.tally.figures()
    cuts = tenths(looks)
    warm, last = cuts[1], cuts[-1]
    budget = phases_ms(warm.samples, last.samples, metrics.LATENCY_BUDGET_S)
    figures = {
        "offered_per_s": rate,
        **{name: tally[name] for name in ("tx_per_s", "latency_p50_ms", "latency_p99_ms", "lost", "duplicated")},
        **between(warm, last),
        "event_to_alert_s": histogram(warm.samples, last.samples, metrics.EVENT_TO_ALERT_S),
        "budget_ms": {phase: budget.get(phase) for phase in _BUDGET},
        "phases_ms": phases_ms(warm.samples, last.samples),
        "course": course(cuts),
    }
    echo_figures(figures)
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
