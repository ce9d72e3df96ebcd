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
from embedded.run import Run
from embedded.stack import LocalStack
from embedded.stand_in import free_port
from fraud import metrics

_FOLDER = Path(".local/whole-job")
_HISTORY = 10_000
_SOURCE = ["--cards", "5000", "--merchants", "1000"]

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


def _at(samples: Samples, name: str, bound: str) -> float:
    """The cumulative count, however the exposition writes the bound."""
    return next(
        (value for (found, label), value in samples.items() if found == name and float(label) == float(bound)), 0.0
    )


def phases_ms(before: Samples, after: Samples) -> dict[str, float]:
    """Mean duration of each phase of a micro-batch in between."""
    total, count = f"{metrics.TRIGGER_S.name}_sum", f"{metrics.TRIGGER_S.name}_count"
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
    port = free_port()
    settings = open_program("whole-job", config, assignments, {"health.port": port, "log.level": "info"})
    with LocalStack(settings, _FOLDER) as stack:
        run = Run(stack, lambda *_: None)
        run.start(_SOURCE, _HISTORY)
        before = read_samples(port)
        pace = ["--num-transactions", str(int(rate * seconds)), "--rate", str(rate)]
        run.stream(_SOURCE, pace, None)
        after = read_samples(port)
        run.stop()
    tally: dict[str, Any] = run.tally.figures()
    figures = {
        "offered_per_s": rate,
        **{name: tally[name] for name in ("tx_per_s", "latency_p50_ms", "latency_p99_ms", "lost", "duplicated")},
        "alerts": tally["alerts"],
        "event_to_alert_s": histogram(before, after, metrics.EVENT_TO_ALERT_S.name),
        "phases_ms": phases_ms(before, after),
    }
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
