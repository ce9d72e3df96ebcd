"""`python -m processor.main`: runs the streaming job until it is asked to stop."""

from __future__ import annotations

import re
import secrets
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer

from adapters.alerts.receiver import AlertReceiver
from adapters.archive.archive import Archive, open_archive
from adapters.archive.lease import Holder, Lease
from adapters.archive.offset_notes import OffsetNotes
from adapters.program.answer_keys import open_answer_keys
from adapters.program.program import ConfigOption, SetOption, open_program, run_program
from adapters.program.telemetry import Telemetry
from adapters.program.version import program_version
from fraud.errors import FatalError
from fraud.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql.streaming import StreamingQuery

log = structlog.get_logger()

_POLL_S = 0.05


def command(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Run the streaming job: Kinesis to decisions in S3 and alerts in DynamoDB.

    It ends on SIGTERM or Ctrl-C after the current batch, with exit code 0; a later start continues where it stopped.

    Example: fraud process --set aws.endpoint_url=http://127.0.0.1:4566
    """
    run(open_program("processor", config, assignments))


def run(settings: Settings) -> None:
    """Puts the job together and runs it until a signal stops it or the query ends.

    Raises:
        MisconfiguredError: something that the job needs is missing or does not fit; no query was started.
        FatalError: the query failed.
    """
    from processor.health import HealthServer, Pulse
    from processor.session import open_session, start_daemon

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    telemetry, pulse = Telemetry(), Pulse(settings.health.stall_s)
    with ExitStack() as resources:
        if settings.health.port is not None:
            health = resources.enter_context(HealthServer(settings.health, pulse, telemetry))
            log.info("health_address", host=settings.health.host, port=health.port)
        # The JVM takes as long as our own imports and checks. It is awaited here, as Spark's session is of this thread.
        thread = resources.enter_context(ThreadPoolExecutor(1, thread_name_prefix="checks"))
        checking = thread.submit(_check, settings)
        spark = open_session(settings)
        resources.callback(spark.stop)
        start_daemon(spark)
        archive, receivers = checking.result()
        run_id = secrets.token_hex(8)
        holder = Holder.this(run_id, "fraud process")
        wait_s = settings.job.takeover_wait_s
        try:
            lease = resources.enter_context(Lease(archive, settings.job.query, holder, wait_s, stopping.wait))
        except InterruptedError:
            log.info("stopped_before_start", query=settings.job.query)
            return
        resources.callback(spark.stop)  # whatever happens from here on, the lease ends after what it is for

        from processor.checkpoint_folder import CheckpointFolder
        from processor.job import start
        from processor.keyed_state.backfill import backfill_id_of
        from processor.kinesis_source import pause_file
        from processor.progress import ProgressObserver
        from processor.sink.report import BatchReports
        from processor.sink.stream import reports_folder
        from processor.start import begin

        backfill_id = backfill_id_of(settings)
        folder = CheckpointFolder(spark, settings.job.checkpoint)
        job = begin(folder, archive, settings, program_version(), run_id)
        notes = OffsetNotes(
            archive,
            settings.job.query,
            lambda: time.time_ns() // 1_000_000,
            job.number_of,
            repeats=bool(job.numberings),
        )
        reports, names = BatchReports(reports_folder(settings)), [receiver.name for receiver in receivers]
        spark.streams.addListener(ProgressObserver(telemetry, pulse, reports, names, notes.leave))
        if folder.progress().planned < 0:
            notes.leave(0, {})
        pause = pause_file(settings)
        pause.unlink(missing_ok=True)
        query = start(spark, job, backfill_id)
        log.info(
            "query_started",
            query=settings.job.query,
            checkpoint=settings.job.checkpoint,
            program=job.program,
            resumes=None if job.resumed is None else job.number_of(job.resumed.batch_id),
            continued=[numbering.continuation for numbering in job.numberings],
        )
        while not stopping.wait(0.2) and query.isActive and not lease.lost:
            pass
        if not lease.lost:
            finish_batch(query, pause, settings.job.stop_timeout_s)
        failure = query.exception()
        query.stop()
        lease.require()
    if failure is not None:
        raise FatalError(f"the query failed: {cause_of(str(failure))}") from failure
    log.info("query_stopped", query=settings.job.query)


def _check(settings: Settings) -> tuple[Archive, Sequence[AlertReceiver]]:
    """Stops here, not in a worker, where something that the job needs is missing or does not fit.

    Returns:
        The archive and who receives alerts; both take what is written.

    Raises:
        MisconfiguredError: naming it.
    """
    from processor.scoring import open_scoring
    from processor.sink.compose import alert_receivers, open_job_policy

    open_scoring(settings)
    open_answer_keys(settings.answers)
    archive = open_archive(settings.archive, settings.aws)
    archive.require_writable()
    open_job_policy(settings, archive)
    receivers = alert_receivers(settings)
    for receiver in receivers:
        receiver.require_writable()
    return archive, receivers


_JAVA_FRAME = re.compile(r"\n\tat [\w.$/<>@-]+\(")
_PYTHON_FRAME = re.compile(r'^  File "([^"\n]+)", line (\d+), in (.+)$', re.MULTILINE)
_RAISED = re.compile(r"^\S", re.MULTILINE)
_AFTER_IT = re.compile(r"\n\n|\n? SQLSTATE: |\nDriver stacktrace|\n=== Streaming Query ===")
_LONGEST_CAUSE = 500
_ROOT = Path(__file__).parents[1]


def cause_of(failure: str) -> str:
    """What went wrong, in one line: of a Python traceback the exception and where our code raised it.

    Args:
        failure: Spark's report; its first line is the cause where no Python code raised an exception.
    """
    python = _JAVA_FRAME.split(failure, maxsplit=1)[0]
    frames = list(_PYTHON_FRAME.finditer(python))
    # What an exception was raised from, or while it was handled, is reported before it.
    raised = _RAISED.search(python, frames[-1].end() + 1) if frames else None
    if raised is None:
        return next((line for line in failure.splitlines() if line.strip()), "no reason given")
    said = " ".join(_AFTER_IT.split(python[raised.start() :], maxsplit=1)[0].split())
    file, line, function = _last_of_ours(frames).groups()
    shown = Path(file).relative_to(_ROOT) if Path(file).is_relative_to(_ROOT) else Path(file)
    return f"{said[:_LONGEST_CAUSE]} ({shown}:{line}, in {function})"


def _last_of_ours(frames: Sequence[re.Match[str]]) -> re.Match[str]:
    """The innermost frame that is not in a library, of the exception that was raised last; else the innermost."""
    ours = [frame for frame in frames if Path(frame[1]).is_relative_to(_ROOT) and "site-packages" not in frame[1]]
    return ours[-1] if ours else frames[-1]


def finish_batch(query: StreamingQuery, pause: Path, timeout_s: float) -> None:
    """Lets no further batch begin, and waits until the one that runs is committed; no longer than `timeout_s`.

    Args:
        query: that is about to be stopped.
        pause: see `processor.kinesis_source.pause_file`.
        timeout_s: after which the batch is left to the next start.
    """
    pause.parent.mkdir(parents=True, exist_ok=True)
    pause.touch()
    deadline = time.monotonic() + timeout_s
    while query.isActive and query.status["isTriggerActive"]:
        if time.monotonic() > deadline:
            log.warning("batch_interrupted", waited_s=timeout_s)
            return
        time.sleep(_POLL_S)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
