"""How fast the console's watching pages answer: `python -m benchmarks.console_overview`.

On a local emulator: ten minutes of decisions at 1,000 a second in the archive, 20,000 dead letters, the job's metrics,
and more decisions as time goes on. Each address is asked over loopback.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json as json_text
import threading
import time
from contextlib import closing
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import typer

from adapters.program import metrics
from adapters.program.program import JsonOption, write_json
from benchmarks.machine import describe_machine
from tests.support.browsers import PASSWORD
from tests.support.emulators import EMULATORS, provisioned
from tests.support.overviews import Overviewed
from tests.support.servers import serving_app

_BATCH, _BATCHES, _EVERY_S = 2_000, 300, 2.0
_DEAD_LETTERS, _PER_OBJECT = 20_000, 1_000
_PHASES = ("triggerExecution", "addBatch", "latestOffset", "getBatch", "queryPlanning", "walCommit", "commitOffsets")
_ADDRESSES = ("/live", "/system", "/system/dead-letters?limit=50", "/system/dead-letters?limit=50&reason=oversize")
_READY_S = 120.0


def command(
    asks: Annotated[int, typer.Option(min=20, help="Requests of each address.")] = 300, json: JsonOption = None
) -> None:
    """Fill a console, ask it, print median and 95th percentile in milliseconds."""
    typer.echo(describe_machine(("fastapi", "uvicorn", "pyarrow", "numpy")))
    with closing(EMULATORS), provisioned() as settings:
        system = Overviewed(settings, "overview")
        _fill(system)
        stopping = threading.Event()
        feed = threading.Thread(target=_feed, args=(system, stopping))
        with system.job(), serving_app(system.app()) as url:
            console = _Console(url)
            _await_filled(console)
            feed.start()
            taken = {address: [console.ask(address)[0] for _ in range(asks)] for address in _ADDRESSES}
            stopping.set()
            feed.join()
    figures: dict[str, Any] = {}
    for address, times_ms in taken.items():
        p50, p95 = np.quantile(times_ms, [0.5, 0.95])
        figures[address] = {"p50_ms": float(p50), "p95_ms": float(p95)}
        typer.echo(f"{address:<50} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms")
    write_json(json, figures)


def _fill(system: Overviewed) -> None:
    now = dt.datetime.now(dt.UTC)
    for place in range(_BATCHES):
        system.decide(*_rows(place), at=now - dt.timedelta(seconds=_EVERY_S * (_BATCHES - place)))
    for first in range(0, _DEAD_LETTERS, _PER_OBJECT):
        system.refuse(*({"sequence_number": str(first + place)} for place in range(_PER_OBJECT)))
    for phase in _PHASES:
        system.telemetry.observe(metrics.TRIGGER_S, metrics.TRIGGER_S.count([0.5]), 0.5, phase)
    for shard in range(16):
        system.telemetry.set(metrics.SOURCE_LAG_MS, 200, "fraud-transactions", f"shard-{shard}")
    for rule in range(60):
        system.telemetry.add(metrics.RULES, 1, f"rule-{rule}", "fired")


def _rows(batch: int) -> list[dict[str, Any]]:
    return [
        {"transaction_id": f"t-{batch}-{row}", "outcome": "approve" if row % 100 else "review"} for row in range(_BATCH)
    ]


def _feed(system: Overviewed, stopping: threading.Event) -> None:
    batch = _BATCHES
    while not stopping.wait(_EVERY_S):
        system.decide(*_rows(batch))
        batch += 1


class _Console:
    """A signed-in client on one connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self._cookie = ""
        body = json_text.dumps({"name": "lead", "password": PASSWORD})
        self._connection.request("POST", "/api/session", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("Set-Cookie") or "").split(";")[0]

    def ask(self, address: str) -> tuple[float, Any]:
        """Milliseconds until the whole answer was read, and the answer."""
        began = time.perf_counter()
        self._connection.request("GET", f"/api{address}", headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        passed_ms = (time.perf_counter() - began) * 1000
        assert answer.status == 200, body
        return passed_ms, json_text.loads(body)


def _await_filled(console: _Console) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        decided = sum(console.ask("/live")[1]["outcomes"].values())
        dead_letters = sum(one["waiting"] for one in console.ask("/system")[1]["dead_letters"].values())
        if decided > 0.9 * _BATCH * _BATCHES and dead_letters == _DEAD_LETTERS:
            return
        assert time.monotonic() < deadline, f"{decided} decisions and {dead_letters} dead letters read"
        time.sleep(0.5)


if __name__ == "__main__":
    typer.run(command)
