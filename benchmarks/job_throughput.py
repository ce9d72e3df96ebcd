"""The whole job fed by a Kinesis that never is the bottleneck: a backlog drained, or a rate sustained, with its memory.

Run: python -m benchmarks.job_throughput --transactions 500000
     python -m benchmarks.job_throughput --transactions 2400000 --rate 8000
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from adapters.program import ConfigOption, JsonOption, SetOption, open_program, run_program, write_json
from benchmarks import load
from benchmarks.machine import describe_machine
from benchmarks.whole_job import Samples, phases_ms, read_samples
from embedded.stack import LocalStack
from embedded.stand_in import free_port
from fraud import metrics

_FOLDER = Path(".local/job-throughput")
_LOOK_S = 1.0
_STALL_S = 120.0


@contextmanager
def fast_stream(stream: str, transactions: int, shards: int, rate: float) -> Iterator[str]:
    """The address of a Kinesis with so many generated transactions, encoded beforehand."""
    command = [sys.executable, "-m", "tests.support.kinesis_server_fast", "--stream", stream, "--shards", str(shards)]
    command += ["--transactions", str(transactions), "--skip", str(load.HISTORY), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


class Watch:
    """What a job has decided and how much it holds, at each second.

    Args:
        port: of its metrics.
        pid: of its driver; children count.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.seconds: list[float] = []
        self.decided: list[int] = []
        self.memory_mb: list[float] = []
        self.files: list[int] = []
        self.cpu_s: list[float] = []
        self._port = port
        self._process = psutil.Process(pid)

    def until(self, count: int) -> Samples:
        """Looks each second until so many are decided; gives the metrics back.

        Raises:
            TimeoutError: nothing was decided for two minutes.
        """
        moved_at = time.monotonic()
        while True:
            began = time.monotonic()
            samples = read_samples(self._port)
            name = metrics.TRANSACTIONS_DECIDED.name
            decided = int(sum(value for (found, _), value in samples.items() if found == name))
            if not self.decided or decided > self.decided[-1]:
                moved_at = began
            self._note(began, decided)
            if decided >= count:
                return samples
            if began - moved_at > _STALL_S:
                raise TimeoutError(f"{decided} of {count} transactions decided, none in the last {_STALL_S:.0f} s")
            threading.Event().wait(max(0.0, _LOOK_S - (time.monotonic() - began)))

    def _note(self, at: float, decided: int) -> None:
        family = [self._process, *self._process.children(recursive=True)]
        memory, files, cpu_s = 0.0, 0, 0.0
        for process in family:
            try:
                memory += process.memory_full_info().pss / 2**20  # shared pages once, not once a worker
                files += process.num_fds()
                cpu_s += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        self.seconds.append(at)
        self.decided.append(decided)
        self.memory_mb.append(memory)
        self.files.append(files)
        self.cpu_s.append(cpu_s)


def figures_of(watch: Watch, count: int) -> dict[str, Any]:
    """Rate behind the first tenth, which compiles and warms, and by core; what the job held in between and at the end.

    Of the cores counts what the job itself used: driver, JVM and Python workers; not Kinesis, DynamoDB, S3.
    """
    decided, seconds = np.array(watch.decided), np.array(watch.seconds)
    warm = int(np.argmax(decided >= count // 10))
    late = len(decided) // 2
    return {
        "decided": int(decided[-1]),
        "tx_per_s": round((decided[-1] - decided[warm]) / max(1e-9, seconds[-1] - seconds[warm])),
        "seconds": round(float(seconds[-1] - seconds[warm]), 1),
        "tx_per_core_s": round((decided[-1] - decided[warm]) / max(1e-9, watch.cpu_s[-1] - watch.cpu_s[warm])),
        "memory_mb_at_tenth": round(watch.memory_mb[warm]),
        "memory_mb_at_half": round(watch.memory_mb[late]),
        "memory_mb_at_end": round(watch.memory_mb[-1]),
        "files_at_tenth": watch.files[warm],
        "files_at_end": watch.files[-1],
    }


def command(
    transactions: Annotated[int, typer.Option(min=10_000, help="How many.")] = 500_000,
    rate: Annotated[float, typer.Option(min=0, help="How many a second appear; 0 has all there at once.")] = 0,
    shards: Annotated[int, typer.Option(min=1, help="Shards of the stream.")] = 2,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Drain a backlog, or sustain a rate, with the whole job: features, rules and model, DynamoDB and S3.

    Example: python -m benchmarks.job_throughput --transactions 2400000 --rate 8000
    """
    typer.echo(describe_machine())
    port = free_port()
    settings = open_program("job-throughput", config, assignments, {"health.port": port, "log.level": "info"})
    settings = load.with_budget(settings, _FOLDER.with_name("job-throughput-policy"))
    with fast_stream(settings.streams.transactions, transactions, shards, rate) as url:
        aws = settings.aws.model_copy(update={"kinesis_endpoint_url": url})
        with LocalStack(settings.model_copy(update={"aws": aws}), _FOLDER) as stack:
            load.prime(stack.settings)
            job = stack.start_job()
            watch = Watch(port, job.pid)
            before = read_samples(port)
            after = watch.until(transactions)
            job.stop(grace_s=60)
    figures = {
        "offered_per_s": rate or "all at once",
        **figures_of(watch, transactions),
        "alerts": int(after.get((f"{metrics.ALERTS_PUT.name}", ""), 0)),
        "phases_ms": phases_ms(before, after),
        "budget_ms": phases_ms(before, after, metrics.LATENCY_BUDGET_S),
    }
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
    write_json(json, figures)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
