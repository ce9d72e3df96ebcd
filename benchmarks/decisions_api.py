"""The decision service under an open-loop load: latency from the planned send time, the service pinned to one core.

Load generator and loopback Kinesis share the other core. The service begins with the state of 20,000 cards. What an
fsync of this machine costs is measured in the same run, beside the service's own.

Run: python -m benchmarks.decisions_api --rate 650 --seconds 20 --json decisions_api.json
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from adapters.program.configuration import load_settings
from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.machine import describe_machine
from benchmarks.served import decision_service, loopback_kinesis
from cli.decide import definition_of
from decision_service import snapshot
from decision_service.access import SCOPES, add_key
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.encode import encode
from fraud.records.schema import milliseconds
from producer.campaigns.plan import load_plan
from producer.data_generator import generate, in_batches
from producer.economy import draw_economy

_DAY_MS = 86_400_000
_CONNECTIONS = 48
_TIME_OUT_S = 5.0
_STEADY_S, _STEADY_P99_MS = 10, 25.0


def command(
    rate: Annotated[int, typer.Option(min=1, help="Requests a second.")] = 650,
    seconds: Annotated[int, typer.Option(min=1, help="How long.")] = 20,
    cards: Annotated[int, typer.Option(help="Cards of the warm state.")] = 20_000,
    history_days: Annotated[int, typer.Option(help="Days of their history.")] = 4,
    durability: Annotated[str, typer.Option(help="journal or stream.")] = "journal",
    highest: Annotated[bool, typer.Option(help="Find the highest steady rate, too.")] = False,
    redis: Annotated[bool, typer.Option(help="Ask Redis for velocity counts of the same payments afterwards.")] = False,
    json: JsonOption = None,
) -> None:
    """Ask for decisions at a fixed rate and measure.

    Example: python -m benchmarks.decisions_api --rate 650 --seconds 20
    """
    machine, cores = describe_machine(), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    warm_up = rate * 3
    with tempfile.TemporaryDirectory(dir=".local" if Path(".local").is_dir() else None) as place:
        folder = Path(place)
        key = add_key(folder / "keys.json", "benchmark", frozenset(SCOPES), 1_000_000)
        (folder / "secret").write_text(secrets.token_hex(32))
        rates = _rising(rate) if highest else []
        planned = warm_up + rate * seconds + _STEADY_S * sum(rates)
        past, records, known = _prepare(folder, cards, history_days, planned)
        requests = _asking(key, records)
        with (
            loopback_kinesis() as kinesis,
            decision_service(_given(folder, kinesis, durability), cores[0]) as (process, port, ready_s),
        ):
            _get(port, "/openapi.json", key)
            asyncio.run(load(port, requests[:warm_up], rate))
            before, used, idle = spent_s(port, key), processor_s(process.pid), _idle_s(cores[-1])
            syncs, began = _Syncs(folder / "fsync"), time.monotonic()
            latencies, errors = asyncio.run(load(port, requests[warm_up : warm_up + rate * seconds], rate))
            took_s, idle = time.monotonic() - began, _idle_s(cores[-1]) - idle
            fsync_ms = syncs.end()
            spent, used_then = spent_s(port, key), processor_s(process.pid)
            used_ms = {name: 1_000 * (then - used[name]) / max(1, len(latencies)) for name, then in used_then.items()}
            steady = _steady_rate(port, requests[warm_up + rate * seconds :], rates)
        beside = {}
        if redis:
            from benchmarks.redis_velocity import measure

            beside = measure(past, records[: warm_up + rate * seconds], rate, cores[0])
        disk = (folder / "decide" / "answers.db").stat().st_size
    answered = len(latencies)
    count = max(1, answered)
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"),) * 2
    figures: dict[str, Any] = {
        "machine": machine,
        "load": os.getloadavg()[0],
        "rate": rate,
        "seconds": seconds,
        "durability": durability,
        "cards": known,
        "answered": answered,
        "errors": sum(errors.values()),
        "error_kinds": errors,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": max(latencies, default=float("nan")),
        "fsync_p50_ms": fsync_ms[0],
        "fsync_p99_ms": fsync_ms[1],
        "ready_s": ready_s,
        "processor_ms_per_decision": sum(used_ms.values()),
        "processor_ms_of_streams": used_ms["streams"],
        "part_ms": parts({name: 1_000 * (spent[name] - before.get(name, 0.0)) / count for name in spent}),
        "durable_ms": 1_000 * (spent["durable"] - before.get("durable", 0.0)) / count,
        "idle_share_of_load_core": idle / took_s,
        "answers_bytes_per_million": int(disk / (answered + warm_up) * 1_000_000) if answered and not highest else None,
        **({"highest_steady_rate": steady} if highest else {}),
        **beside,
    }
    write_json(json, figures)
    for name, value in figures.items():
        typer.echo(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")


def _rising(rate: int) -> list[int]:
    """Rates from one on, each a tenth above the one before it, up to three times."""
    return [round(rate * 1.1**step) for step in range(12)]


def _steady_rate(port: int, requests: list[bytes], rates: list[int]) -> int | None:
    """The highest of some rising rates at which nothing fails and the 99th percentile stays below `_STEADY_P99_MS`."""
    held, at = None, 0
    for rate in rates:
        latencies, errors = asyncio.run(load(port, requests[at : at + rate * _STEADY_S], rate))
        at += rate * _STEADY_S
        if errors or np.percentile(latencies, 99) >= _STEADY_P99_MS:
            break
        held = rate
    return held


def _prepare(folder: Path, cards: int, history_days: int, count: int) -> tuple[list[pa.RecordBatch], list[bytes], int]:
    """Folds the history into a snapshot; gives it, what is asked afterwards, and how many cards are known."""
    settings = load_settings(None, {}, {})
    now_ms = time.time_ns() // 1_000_000
    first_day = now_ms // _DAY_MS - history_days
    path, before, requests = FeaturePath(settings), list[pa.RecordBatch](), list[bytes]()
    for part in in_batches(generate(draw_economy(7, cards, 4_000), load_plan("default"), first_day), 20_000):
        transactions = part.transactions
        past = int((milliseconds(transactions["event_time"]) < now_ms).sum())
        if past:
            before.append(transactions.slice(0, past))
            path.advance(Records(_arrived(before[-1])))
        requests += encode(transactions.slice(past))
        if len(requests) >= count:
            break
    meta = snapshot.Meta(0, {}, definition_of(settings), now_ms)
    states = ((entity.name, piece) for entity, state in path.states.items() for piece in state.dump())
    snapshots = folder / "decide" / "snapshots"
    snapshot.publish(snapshots, snapshot.write(snapshots, meta, states), meta)
    return before, requests[:count], next(iter(path.states.values())).keys


def _arrived(transactions: pa.RecordBatch) -> pa.RecordBatch:
    count = transactions.num_rows
    times = pa.array(milliseconds(transactions["event_time"]))
    names, numbers = pa.repeat(pa.scalar("0"), count), pa.array(np.arange(count))
    arrival = [names, names, numbers.cast(pa.string()), pc.multiply(numbers, 0), times]
    schema = pa.schema([*ARRIVAL_FIELDS, *transactions.schema])
    return pa.RecordBatch.from_arrays([*arrival, *transactions.columns], schema=schema)


def _given(folder: Path, kinesis: str, durability: str) -> dict[str, Any]:
    """The service's settings."""
    return {
        "aws.endpoint_url": kinesis,
        "decide.folder": folder / "decide",
        "decide.api_keys": folder / "keys.json",
        "decide.durability": durability,
        "answers.keys": f"{{k1: 'file:{folder}/secret'}}",
        "job.max_ahead_s": 30 * 86_400,
    }


def _get(port: int, path: str, key: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {key}"})
    return str(urllib.request.urlopen(request, timeout=10).read().decode())


def spent_s(port: int, key: str) -> dict[str, float]:
    """Seconds that went into stages and threads, since the service began."""
    found = re.findall(
        r'fraud_decide_(?:stage|processor)_seconds_total\{\w+="(\w+)"\} (\S+)', _get(port, "/metrics", key)
    )
    return {name: float(value) for name, value in found}


_STAGES = ("decode", "fold", "decide", "seal", "follow")


def parts(spent: dict[str, float]) -> dict[str, float]:
    """Processor time of a decision by what it goes into: HTTP is what the loop does besides the stages."""
    stages = {name: spent[name] for name in _STAGES}
    threads = {name: value for name, value in spent.items() if name not in (*_STAGES, "loop", "durable")}
    return {"http": spent["loop"] - sum(stages.values())} | stages | threads


def _idle_s(core: int) -> float:
    import psutil

    return float(psutil.cpu_times(percpu=True)[core].idle)


def processor_s(pid: int) -> dict[str, float]:
    """Processor time of the service and of the process that reads and writes the streams."""
    import psutil

    service = psutil.Process(pid)
    spent = {"service": [service], "streams": service.children()}
    return {name: sum(sum(each.cpu_times()[:2]) for each in processes) for name, processes in spent.items()}


class _Syncs:
    """Measures what writing and syncing 4 KiB takes, 20 times a second beside the load."""

    def __init__(self, file: Path) -> None:
        self._took_ms: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(file,), daemon=True)
        self._thread.start()

    def _run(self, file: Path) -> None:
        with file.open("wb", buffering=0) as opened:
            while not self._ended.wait(0.05):
                opened.write(bytes(4096))
                began = time.perf_counter()
                os.fdatasync(opened.fileno())
                self._took_ms.append(1_000 * (time.perf_counter() - began))

    def end(self) -> tuple[float, float]:
        self._ended.set()
        self._thread.join()
        p50, p99 = np.percentile(self._took_ms, [50, 99])
        return float(p50), float(p99)


class Connection(asyncio.Protocol):
    """One request at a time on a connection that stays; this one speaks HTTP."""

    def __init__(self) -> None:
        self._data = b""
        self._waiting: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    async def ask(self, request: bytes) -> int:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._waiting, _TIME_OUT_S)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(body) >= length:
            self._answer(int(head[9:12]))

    def _answer(self, status: int) -> None:
        self._data = b""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(status)

    @property
    def is_open(self) -> bool:
        """Whether the service has not closed it."""
        return not self._transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(str(exc)))


def _asking(key: str, records: list[bytes]) -> list[bytes]:
    """The requests for decisions on records."""
    head = f"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-length: "
    return [f"{head}{len(record)}\r\n\r\n".encode() + record for record in records]


async def load(
    port: int, requests: Sequence[bytes], rate: int, connection_of: type[Connection] = Connection
) -> tuple[list[float], dict[str, int]]:
    """Sends requests at their planned times, whatever became of those before; milliseconds of each, and errors."""
    loop = asyncio.get_running_loop()
    free: list[Connection] = [
        (await loop.create_connection(connection_of, "127.0.0.1", port))[1] for _ in range(_CONNECTIONS)
    ]
    latencies: list[float] = []
    errors: dict[str, int] = {}

    async def ask(request: bytes, planned: float) -> None:
        while free and not free[-1].is_open:
            free.pop()
        connection = free.pop() if free else (await loop.create_connection(connection_of, "127.0.0.1", port))[1]
        try:
            status = await connection.ask(request)
        except (OSError, TimeoutError) as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            return
        free.append(connection)
        if status == 200:
            latencies.append(1_000 * (time.perf_counter() - planned))
        else:
            errors[str(status)] = errors.get(str(status), 0) + 1

    began = time.perf_counter() + 0.1
    under_way = set[asyncio.Task[None]]()
    for number, request in enumerate(requests):
        planned = began + number / rate
        pause = planned - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(ask(request, planned))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        await asyncio.wait(under_way)
    return latencies, errors


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
