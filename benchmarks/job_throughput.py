"""The whole job fed by a Kinesis that never is the bottleneck: a backlog drained, or a rate sustained, with its memory.

Run: python -m benchmarks.job_throughput --transactions 500000
     python -m benchmarks.job_throughput --transactions 2400000 --rate 8000
     python -m benchmarks.job_throughput --transactions 450000 --rate 250     # a soak of 30 minutes
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.program import metrics
from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from benchmarks import load
from benchmarks.machine import describe_machine
from benchmarks.watch import Look, Watch, course, echo_figures, phases_ms, tenths
from embedded.emulator import free_port
from embedded.stack import LocalStack

_FOLDER = Path(".local/job-throughput")


@contextmanager
def fast_stream(stream: str, transactions: int, shards: int, rate: float) -> Iterator[str]:
    """The address of a Kinesis with so many generated transactions, which appear at a rate; 0 has all there at once."""
    command = [sys.executable, "-m", "tests.support.kinesis_server_fast", "--stream", stream, "--shards", str(shards)]
    command += ["--transactions", str(transactions), "--skip", str(load.HISTORY), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def figures_of(looks: list[Look], count: int, paced: bool) -> dict[str, Any]:
    """Rate behind the first tenth, which compiles and warms, and by core; what the job held in between and at the end.

    Of the cores counts what the job itself used: driver, JVM and Python workers; not Kinesis, DynamoDB, S3. Latency is
    reported where records were `paced`: those that all were there from the start have waited for each other.
    """
    left_out = () if paced else ("put", "wait", "alert_p50_s", "alert_p99_s")
    warm = next(look for look in looks if look.decided >= count // 10)
    half, end = looks[len(looks) // 2], looks[-1]
    done, seconds, cpu_s = end.decided - warm.decided, end.at_s - warm.at_s, end.cpu_s - warm.cpu_s
    return {
        "decided": end.decided,
        "tx_per_s": round(done / max(1e-9, seconds)),
        "seconds": round(seconds, 1),
        "tx_per_core_s": round(done / max(1e-9, cpu_s)),
        "cores_used": round(cpu_s / max(1e-9, seconds), 2),
        "alert_share": round(end.samples.get((metrics.ALERTS_PUT.name, "dynamodb"), 0.0) / end.decided, 5),
        "memory_mb_at_tenth": round(warm.total_mb),
        "memory_mb_at_half": round(half.total_mb),
        "memory_mb_at_end": round(end.total_mb),
        "files_at_tenth": warm.files,
        "files_at_end": end.files,
        "phases_ms": phases_ms(warm.samples, end.samples),
        "budget_ms": _without(left_out, phases_ms(warm.samples, end.samples, metrics.LATENCY_BUDGET_S)),
        "course": [_without(left_out, part) for part in course(tenths(looks))],
    }


def _without(names: tuple[str, ...], figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in names}


def command(
    transactions: Annotated[int, typer.Option(min=10_000, help="How many.")] = 500_000,
    rate: Annotated[float, typer.Option(min=0, help="How many a second appear; 0 has all there at once.")] = 0,
    shards: Annotated[int, typer.Option(min=1, help="Shards of the stream.")] = 2,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Drain a backlog, or sustain a rate, with the whole job: features, rules and model, DynamoDB and S3.

    The state begins with the history of `benchmarks.load`. `--set model.endpoint=fraud` scores through an endpoint.

    Example: python -m benchmarks.job_throughput --transactions 2400000 --rate 8000
    """
    typer.echo(describe_machine())
    port = free_port()
    settings = open_program("job-throughput", config, assignments, {"health.port": port, "log.level": "info"})
    settings = load.with_budget(settings, _FOLDER.with_name("job-throughput-policy"))
    with fast_stream(settings.streams.transactions, transactions, shards, rate) as url:
        aws = settings.aws.model_copy(update={"kinesis_endpoint_url": url})
        with LocalStack(settings.model_copy(update={"aws": aws}), _FOLDER) as stack:
            load.backfill(stack.settings)
            job = stack.start_job()
            watch = Watch(port, job.pid)
            watch.until(transactions)
            job.stop(grace_s=60)
    figures = {"offered_per_s": rate or "all at once", **figures_of(watch.looks, transactions, bool(rate))}
    echo_figures(figures)
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
