"""`python -m processor.main`: runs the streaming job until it is told to stop."""

from __future__ import annotations

import signal
import threading

import structlog
import typer

from adapters.program import ConfigOption, SetOption, open_program, run_program
from fraud.errors import FatalError

log = structlog.get_logger()


def command(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Run the streaming job: Kinesis to decisions in S3 and alerts in DynamoDB.

    It ends on SIGTERM or Ctrl-C after the current batch, with exit code 0; a later start goes on where it stopped.

    Example: fraud process --set aws.endpoint_url=http://127.0.0.1:4566
    """
    settings = open_program("processor", config, assignments)
    from processor.job import start
    from processor.progress import ProgressLog
    from processor.scoring import open_scorer
    from processor.session import open_session

    open_scorer(settings)  # stops here, not in a worker, where the model does not fit
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    spark = open_session(settings)
    spark.streams.addListener(ProgressLog())
    query = start(spark, settings)
    log.info("query_started", query=settings.job.query, checkpoint=settings.job.checkpoint)
    while not stopping.wait(0.2) and query.isActive:
        pass
    failure = query.exception()
    query.stop()
    spark.stop()
    if failure is not None:
        raise FatalError(str(failure).splitlines()[0]) from failure
    log.info("query_stopped", query=settings.job.query)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
