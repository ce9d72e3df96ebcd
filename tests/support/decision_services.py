"""A decision service in one process: its disk is a folder, the streams are lists."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from adapters.aws.stream_writer import StreamRecord
from adapters.model.endpoint_usage import EndpointUsage
from adapters.program.telemetry import Telemetry
from decision_service.access import Access, Scope, add_key
from decision_service.answers import Answers
from decision_service.api import Api
from decision_service.engine import Engine
from decision_service.journal import Journal
from decision_service.service import Places, Service
from decision_service.streams import Direct, Shipper
from decision_service.streams import Read as ReadOn
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly, VersionedScorer
from fraud.errors import UnavailableError
from fraud.features import CATALOGUE
from fraud.records.intake import Intake
from fraud.settings import Decide, Settings
from tests.support.answers import KEY, KEYS, NOON_MS
from tests.support.servers import serving_app

POLICY = """
thresholds: {}
rules:
  - {id: large, description: large, when: amount_minor > 100000, outcome: review, reason: LARGE, text: 'large'}
  - {id: fast, description: fast, when: card_count_10m > 3, outcome: decline, reason: FAST, text: 'fast'}
"""


class Reply(NamedTuple):
    """An answer of the service."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Read(NamedTuple):
    """What came on a shard."""

    place: tuple[str, str]
    position: Mapping[str, Any]
    records: Sequence[tuple[tuple[str, str, str, int, int], bytes]]
    lag_ms: int


def compiled(text: str = POLICY) -> CompiledPolicy:
    """A small policy."""
    return compile_policy(PolicyBundle({"policy.yaml": text}), fields_of(CATALOGUE))


class World:
    """What outlives a service: its folder, the stream, the time."""

    def __init__(
        self,
        folder: Path,
        policy: str = POLICY,
        scorer: VersionedScorer | None = None,
        endpoint: EndpointUsage | None = None,
        **decide: Any,
    ) -> None:
        self.folder = folder
        self.policy = compiled(policy)
        self.scorer = scorer or RulesOnly()
        self.endpoint = endpoint
        self.settings = Settings(decide=Decide(folder=str(folder), **decide))
        self.stream: list[StreamRecord] = []
        self.refuses = False
        self.source: ReadOn | None = None
        self._opened = 0
        self._killed: set[int] = set()
        self.now_ms = NOON_MS
        self.numbers = itertools.count()
        self.tokens = {
            scope: add_key(folder / "keys.json", scope, frozenset([scope]), 10_000)
            for scope in ("decide", "read", "metrics")
        }

    def put(self, process: int, records: Sequence[StreamRecord]) -> None:
        """Takes records for the stream. The thread of a killed service stays here: it may neither go on nor log."""
        if process in self._killed or process != self._opened:
            threading.Event().wait()
        if self.refuses:
            raise UnavailableError("kinesis", "PutRecords", "ServiceUnavailable", "scripted")
        self.stream += records

    def open(self) -> Service:
        """A service that has recovered and not begun."""
        settings = self.settings
        self._opened += 1
        put = partial(self.put, self._opened)
        engine = Engine(
            settings,
            Intake.of(settings),
            self.policy,
            self.scorer,
            KEYS,
            KEY,
            f"i-{next(self.numbers)}",
            lambda: 0,
        )
        journal = Journal(self.folder / "journal") if settings.decide.durability == "journal" else None
        service = Service(
            settings.decide,
            engine,
            Answers(self.folder / "answers.db"),
            journal or Direct(put),
            journal,
            None if journal is None else Shipper(journal, put, self.folder / "shipped"),
            Places(self.folder / "snapshots", "as always"),
            Telemetry(),
            lambda: self.now_ms,
            endpoint=self.endpoint,
        )
        service.recover()
        if self.source is not None:
            service.follow(self.source, 0.0)
        return service

    def run(self, work: Callable[[Client], Coroutine[Any, Any, Any]], stop: bool = True, caught_up: bool = True) -> Any:
        """Serves while some work is done; without `stop`, as if the process were killed then."""
        service = self.open()

        async def serve() -> Any:
            await service.start()
            if caught_up:
                service.lag_ms = 0
            api = Api(service, Access(self.folder / "keys.json", lambda: 0.0), clock=lambda: 0.0)
            try:
                return await work(Client(self, service, api))
            finally:
                if stop:
                    await service.end()
                for task in service.tasks:
                    task.cancel()

        try:
            return asyncio.run(serve())
        finally:
            if stop:
                service.close()
            self._killed.add(self._opened)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serves a world over HTTP for as long as the context lasts; gives the address."""
    service = world.open()

    def caught_up() -> None:
        service.lag_ms = 0

    with serving_app(Api(service, Access(world.folder / "keys.json", time.monotonic), caught_up)) as address:
        yield address
    service.close()


class Client:
    """Asks the service without a network."""

    def __init__(self, world: World, service: Service, api: Api) -> None:
        self.world, self.service, self.api = world, service, api

    async def ask(
        self, method: str, path: str, body: bytes = b"", scope: Scope | None = "decide", token: str | None = None
    ) -> Reply:
        """One request, with the key of a scope."""
        headers = []
        if scope is not None:
            headers = [(b"authorization", f"Bearer {token or self.world.tokens[scope]}".encode())]
        sent: list[Mapping[str, Any]] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        await self.api({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
        given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        content = sent[1]["body"]
        return Reply(sent[0]["status"], json.loads(content) if "json" in given["content-type"] else content, given)

    async def decide(self, record: bytes) -> Reply:
        """Asks for a decision."""
        return await self.ask("POST", "/v1/decisions", record)

    async def arrive(self, stream: str, records: Sequence[bytes]) -> None:
        """Has records come on a stream."""
        numbers = [next(self.world.numbers) for _ in records]
        arrived = [
            ((stream, "0", str(number), 0, self.world.now_ms), data)
            for number, data in zip(numbers, records, strict=True)
        ]
        position = {"after": str(numbers[-1]), "closed": False}
        await asyncio.to_thread(self.service.hand_on, [Read((stream, "0"), position, arrived, 0)])
