"""The console's watching pages on a real archive, a real stream and the job's real health address."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.archive.archive import open_archive, to_parquet
from adapters.archive.layout import ArchiveKind
from adapters.program.telemetry import Telemetry
from cli.console import overview_of
from console.access import Access
from console.api import build_app
from console.compose import open_ports, watching_part
from console.services.lab import Launcher
from embedded.emulator import free_port
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.settings import Health, Settings
from processor.health import HealthServer, Pulse
from tests.support.board_decisions import decisions
from tests.support.browsers import PASSWORD
from tests.support.consoles import DOOR, USERS

_WAIT_S = 120.0


class Overviewed:
    """A system to look at, and the application that shows it.

    Args:
        settings: of an emulator.
        prefix: of the archive, so that tests do not meet.
        truth: folder of ground truth; None where nobody knows it.
        launcher: of the lab; None for no lab.
    """

    def __init__(
        self, settings: Settings, prefix: str, truth: Path | None = None, launcher: Launcher | None = None
    ) -> None:
        port = free_port()
        console = {"ground_truth": None if truth is None else str(truth), "lab": launcher is not None}
        console["folder"] = console["store"] = tempfile.mkdtemp()
        self.settings = settings.model_copy(
            update={
                "archive": settings.archive.model_copy(update={"prefix": f"{prefix}/"}),
                "health": Health(port=port),
                "console": settings.console.model_copy(update=console | {"job_url": f"http://127.0.0.1:{port}"}),
            }
        )
        self.telemetry = Telemetry()
        self.audit: list[tuple[str, str, str]] = []
        self._archive = open_archive(self.settings.archive, self.settings.aws)
        self._batch = 0
        self._launcher = launcher

    def app(self) -> FastAPI:
        """The application; its background work begins with its server."""
        opened = open_ports(self.settings, overview_of(self.settings), lambda _: None, self._launcher)
        ports = replace(opened, audit=lambda *entry: self.audit.append(entry))
        watching = watching_part(self.settings, ports)
        pages = [watching.live, watching.system, *watching.lab]
        return build_app(
            Access(lambda: USERS, lambda: 1000.0), pages, {}, watching.background, door=DOOR, audit=ports.audit
        )

    def decide(self, *rows: dict[str, Any], at: dt.datetime | None = None) -> None:
        """Archives a batch decided at a time, or now; `rows` name what differs from a plain approved decision."""
        self._put(ArchiveKind.DECISIONS, decisions(*rows, at=at or dt.datetime.fromtimestamp(now_ms() / 1000, dt.UTC)))

    def refuse(self, *rows: dict[str, Any]) -> None:
        """Archives a batch of dead letters; `rows` name what differs from a plain one."""
        plain = {"stream": self.settings.streams.transactions, "shard": "shard-0", "sub_sequence": 0} | {
            "arrival_ms": now_ms(),
            "reason": "invalid",
            "field": "mcc",
            "detail": "four digits",
            "data": b"{}",
            "replayable": True,
        }
        whole = [{"sequence_number": f"{self._batch}{place}"} | plain | row for place, row in enumerate(rows)]
        self._put(ArchiveKind.DEAD_LETTERS, pa.Table.from_pylist(whole, schema=DEAD_LETTER_SCHEMA))

    def _put(self, kind: ArchiveKind, table: pa.Table) -> None:
        assert self._archive.put_new(kind.key("fraud", self._batch, 0, now_ms()), to_parquet(table))
        self._batch += 1

    @contextmanager
    def job(self) -> Iterator[None]:
        """The job answers while the context lasts."""
        with HealthServer(self.settings.health, Pulse(180.0), self.telemetry):
            yield


def sign_in(client: TestClient, name: str) -> TestClient:
    """The client signed in as a user of `USERS`."""
    answer = client.post("/api/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200
    client.headers["x-csrf-token"] = answer.json()["csrf"]
    return client


def await_answer(client: TestClient, path: str, holds: Callable[[Any], bool]) -> Any:
    """Asks until an answer holds: background work is on its way."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        if holds(answer.json()):
            return answer.json()
        assert time.monotonic() < deadline, answer.json()
        time.sleep(0.05)


def now_ms() -> int:
    """Epoch milliseconds: the pages show the latest minutes by the clock."""
    return time.time_ns() // 1_000_000  # noqa: TID251
