"""`python -m processor.main`: runs the streaming job until it is told to stop."""

from __future__ import annotations

import re
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import structlog
import typer

from adapters.alerts import AlertTable
from adapters.archive import Archive
from adapters.offset_notes import leave_note
from adapters.program import ConfigOption, SetOption, open_program, run_program
from adapters.telemetry import Telemetry
from fraud.errors import FatalError
from fraud.offset_check import OffsetNote

if TYPE_CHECKING:
    from pyspark.sql.streaming import StreamingQuery

log = structlog.get_logger()

_POLL_S = 0.05


def command(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Run the streaming job: Kinesis to decisions in S3 and alerts in DynamoDB.

    It ends on SIGTERM or Ctrl-C after the current batch, with exit code 0; a later start goes on where it stopped.

    Example: fraud process --set aws.endpoint_url=http://127.0.0.1:4566
    """
    settings = open_program("processor", config, assignments)
    from adapters.policy_source import open_policy
    from fraud.features import FEATURE_FIELDS
    from fraud.rules.fields import fields_of
    from processor.checkpoint import claim_checkpoint, require_compatible, stored_id
    from processor.health import HealthServer, Pulse
    from processor.job import start
    from processor.progress import ProgressObserver
    from processor.scoring import open_challenger, open_scorer
    from processor.session import open_session, start_daemon
    from processor.sink.report import BatchReports
    from processor.sink.stream import reports_folder

    open_scorer(settings)  # stops here, not in a worker, where a model or the policy does not fit
    open_challenger(settings)
    open_policy(settings, fields_of(FEATURE_FIELDS))
    archive = Archive(settings)
    archive.require_writable()
    AlertTable(settings).require_writable()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    telemetry, pulse = Telemetry(), Pulse(settings.health.stall_s)
    with ExitStack() as resources:
        if settings.health.port is not None:
            health = resources.enter_context(HealthServer(settings.health, pulse, telemetry))
            log.info("health_address", host=settings.health.host, port=health.port)
        spark = open_session(settings)
        resources.callback(spark.stop)
        start_daemon(spark)
        require_compatible(spark, settings)
        reports = BatchReports(reports_folder(settings))

        def note(batches: int, records: dict[str, int]) -> None:
            leave_note(archive, OffsetNote(settings.job.query, batches, records, time.time_ns() // 1_000_000))

        spark.streams.addListener(ProgressObserver(telemetry, pulse, reports, note))
        if stored_id(spark, settings.job.checkpoint) is None:
            note(0, {})
        query = start(spark, settings)
        claim_checkpoint(query, settings)
        log.info("query_started", query=settings.job.query, checkpoint=settings.job.checkpoint)
        while not stopping.wait(0.2) and query.isActive:
            pass
        finish_batch(query, settings.job.stop_timeout_s)
        failure = query.exception()
        query.stop()
    if failure is not None:
        raise FatalError(f"the query failed: {cause_of(str(failure))}") from failure
    log.info("query_stopped", query=settings.job.query)


_PYTHON_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)


def cause_of(failure: str) -> str:
    """The line of Spark's report that says what went wrong: of a Python traceback the last, else the first."""
    python = _PYTHON_ERROR.findall(failure.split("\n\tat ")[0]) if "Traceback" in failure else []
    return str(python[-1] if python else failure.splitlines()[0])


def finish_batch(query: StreamingQuery, timeout_s: float) -> None:
    """Waits until the batch that runs now is committed, or the query waits for the next; no longer than `timeout_s`."""
    before = _last_batch(query)
    deadline = time.monotonic() + timeout_s
    while query.isActive and query.status["isTriggerActive"] and _last_batch(query) == before:
        if time.monotonic() > deadline:
            log.warning("batch_interrupted", waited_s=timeout_s)
            return
        time.sleep(_POLL_S)


def _last_batch(query: StreamingQuery) -> int | None:
    progress = query.lastProgress
    return None if progress is None else progress.batchId


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
