"""`fraud rescale`: moves the state of a stopped query to another number of partitions."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(
    partitions: Annotated[int, typer.Option(min=1, max=1024, help="Parallel tasks from now on: job.partitions.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Move the state of a stopped query to another number of parallel tasks.

    Stop the job with SIGTERM, run this, and start the job with the new job.partitions; producers go on meanwhile, and
    what they send waits in the stream. It takes time in proportion to the state: nothing is folded again. The state can
    be spread over as many partitions as it has key groups (job.key_groups). If this is interrupted, run it again.

    \b
    Example:
      fraud rescale --partitions 8 --set job.checkpoint=s3a://checkpoints/fraud
    """
    settings = open_program("rescale", config, assignments)
    import time

    from adapters.archive.archive import open_archive
    from adapters.archive.lease import lease_of
    from processor.checkpoint_folder import CheckpointFolder
    from processor.rescale import rescale
    from processor.session import open_session

    archive = open_archive(settings.archive, settings.aws)
    archive.require_writable()
    with lease_of(archive, settings.job.query, "fraud rescale"):
        spark = open_session(settings)
        try:
            started = time.monotonic()
            folder = CheckpointFolder(spark, settings.job.checkpoint)
            before = rescale(spark, folder, archive, settings, partitions)
            seconds = time.monotonic() - started
        finally:
            spark.stop()
    if before == partitions:
        typer.echo(f"the state of {settings.job.query} lies in {partitions} partitions already")
    else:
        typer.echo(
            f"moved the state of {settings.job.query} from {before} to {partitions} partitions in {seconds:.1f} s"
        )
        typer.echo(f"start the job with job.partitions={partitions}")
    write_json(json, {"before": before, "partitions": partitions, "seconds": round(seconds, 3)})
