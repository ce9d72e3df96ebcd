"""The whole job on this machine, stand-in and producer beside it: throughput, latency from event to alert, its budget.

Run: python -m benchmarks.whole_job --rate 1000 --seconds 60 --json whole_job.json
"""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer
from prometheus_client.parser import text_string_to_metric_families

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from benchmarks import load
from benchmarks.machine import describe_machine
from embedded.run import Run
from embedded.stack import LocalStack
from embedded.stand_in import free_port
from fraud import metrics

_FOLDER = Path(".local/whole-job")
_WARM_UP = 20_000
_BUDGET = ("put", "wait", "plan", "state", "score", "archive", "alerts")

Samples = dict[tuple[str, str], float]
"""Values of the exposition by sample name and the label that matters (`le`, `phase`, `outcome`; empty without)."""


def read_samples(port: int) -> Samples:
    """What the job's metrics address shows now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, "".join(sample.labels.get(label, "") for label in ("phase", "outcome", "le"))): sample.value
        for family in families
        for sample in family.samples
    }


def histogram(before: Samples, after: Samples, name: str) -> dict[str, int]:
    """Observations by upper bound in between."""
    bounds = [f"{bound:g}" for bound in metrics.EVENT_TO_ALERT_S.buckets] + ["+Inf"]
    sample = f"{name}_bucket"
    cumulative = [int(_at(after, sample, bound) - _at(before, sample, bound)) for bound in bounds]
    return {bound: count - below for bound, count, below in zip(bounds, cumulative, [0, *cumulative], strict=False)}


def quantile_s(counts: dict[str, int], quantile: float) -> float | None:
    """A quantile of a histogram, by even spread inside its bucket; None without observations.

    >>> quantile_s({"1": 0, "2": 4, "+Inf": 0}, 0.5)
    1.5
    """
    left, below = quantile * sum(counts.values()), 0.0
    for bound, count in counts.items():
        if count and count >= left:
            return below if bound == "+Inf" else round(below + (float(bound) - below) * left / count, 3)
        left, below = left - count, float(bound)
    return None


def _at(samples: Samples, name: str, bound: str) -> float:
    """The cumulative count, however the exposition writes the bound."""
    return next(
        (value for (found, label), value in samples.items() if found == name and float(label) == float(bound)), 0.0
    )


def phases_ms(before: Samples, after: Samples, metric: metrics.Metric = metrics.TRIGGER_S) -> dict[str, float]:
    """Mean of each phase of a micro-batch in between."""
    total, count = f"{metric.name}_sum", f"{metric.name}_count"
    means = {}
    for name, phase in after:
        batches = after.get((count, phase), 0.0) - before.get((count, phase), 0.0)
        if name == total and batches:
            means[phase] = round(1000 * (after[name, phase] - before.get((name, phase), 0.0)) / batches, 1)
    return means


def command(
    rate: Annotated[float, typer.Option(min=1, help="Transactions a second that are offered.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=5, help="How long.")] = 60,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Stream at a rate through the local stack and print what it did.

    Example: python -m benchmarks.whole_job --rate 1000 --seconds 60
    """
    typer.echo(describe_machine())
    port = free_port()
    settings = open_program("whole-job", config, assignments, {"health.port": port, "log.level": "info"})
    settings = load.with_budget(settings, _FOLDER.with_name("whole-job-policy"))
    with LocalStack(settings, _FOLDER) as stack:
        load.prime(stack.settings)
        run = Run(stack, lambda *_: None, load.HISTORY)
        run.start(load.PRODUCER, _WARM_UP)
        before = read_samples(port)
        pace = ["--num-transactions", str(int(rate * seconds)), "--rate", str(rate)]
        run.stream(load.PRODUCER, pace, None)
        after = read_samples(port)
        run.stop()
    tally: dict[str, Any] = run.tally.figures()
    to_alert = histogram(before, after, metrics.EVENT_TO_ALERT_S.name)
    budget = phases_ms(before, after, metrics.LATENCY_BUDGET_S)
    figures = {
        "offered_per_s": rate,
        **{name: tally[name] for name in ("tx_per_s", "latency_p50_ms", "latency_p99_ms", "lost", "duplicated")},
        "alerts": sum(to_alert.values()),
        "event_to_alert_s": to_alert,
        "event_to_alert_p50_s": quantile_s(to_alert, 0.5),
        "event_to_alert_p99_s": quantile_s(to_alert, 0.99),
        "budget_ms": {phase: budget.get(phase) for phase in _BUDGET},
        "phases_ms": phases_ms(before, after),
    }
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
