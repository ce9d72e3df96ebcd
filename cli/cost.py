"""`fraud cost`: what a load costs on AWS, with every assumption shown."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.aws.prices import BATCH_CORE_S, PARTITION_CORE_S, TPS_PER_CORE, Load, cost_sheet
from adapters.program.program import JsonOption, write_json


def command(
    tps: Annotated[float, typer.Option(min=1, help="Transactions a second.")] = 1_000,
    alert_share: Annotated[float, typer.Option(min=0, max=1, help="Share that becomes alerts.")] = 0.005,
    tps_per_core: Annotated[
        float, typer.Option(min=1, help="Transactions a second and core, besides the fixed work of a micro-batch.")
    ] = TPS_PER_CORE,
    batch_core_s: Annotated[
        float, typer.Option(min=0, help="Core seconds of the fixed work of a micro-batch.")
    ] = BATCH_CORE_S,
    partition_core_s: Annotated[
        float, typer.Option(min=0, help="The same for each of its partitions, on top.")
    ] = PARTITION_CORE_S,
    trigger_s: Annotated[float, typer.Option(min=0.05, help="Measured time between micro-batches.")] = 0.5,
    partitions: Annotated[int, typer.Option(min=1, help="job.partitions.")] = 2,
    answered_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share that the decision service answers in the call.")
    ] = 0,
    fan_out: Annotated[
        int,
        typer.Option(min=0, max=20, help="Consumers by enhanced fan-out: the job, instances of the decision service."),
    ] = 0,
    jobs: Annotated[
        int,
        typer.Option(min=1, help="Jobs that share the load, each with a stream of its own; partitions are a job's."),
    ] = 1,
    erasures: Annotated[int, typer.Option(min=0, help="Cards erased in a month, from an archive of a year.")] = 10,
    json: JsonOption = None,
) -> None:
    """Print monthly cost and dollars per million transactions on AWS list prices, item by item.

    What a core carries was measured (docs/benchmarks.md); give your own figures instead.

    \b
    Examples:
      fraud cost --tps 1000
      fraud cost --tps 8000 --trigger-s 1 --tps-per-core 12000 --json cost.json
      fraud cost --tps 100000 --jobs 4 --partitions 32 --trigger-s 2
    """
    load = Load(
        tps=tps,
        alert_share=alert_share,
        tps_per_core=tps_per_core,
        batch_core_s=batch_core_s,
        partition_core_s=partition_core_s,
        trigger_s=trigger_s,
        partitions=partitions,
        answered_share=answered_share,
        fan_out=fan_out,
        jobs=jobs,
        erasures=erasures,
    )
    sheet = cost_sheet(load)
    for item in sheet.items:
        typer.echo(f"{item.name:28}{item.dollars_per_month:>12,.2f} $/month   {item.assumption}")
    typer.echo(f"{'total':28}{sheet.dollars_per_month:>12,.2f} $/month")
    typer.echo(f"{sheet.dollars_per_million:,.3f} $ per million transactions")
    write_json(json, sheet.figures())
