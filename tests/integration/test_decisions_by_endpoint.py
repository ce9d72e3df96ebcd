"""Decisions in the call whose model is an endpoint: equal scores, the budget, the fallback, order, and nothing lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters.model.endpoint_scorer import EndpointScorer
from adapters.model.endpoint_usage import EndpointUsage
from fraud.records.answered import unseal
from fraud.settings import Aws, Endpoint, Model
from ml_model.predict import InProcessScorer
from tests.support.answers import KEYS
from tests.support.decision_services import Client, Reply, World
from tests.support.records import transaction, wire
from tests.support.scripted_endpoint import Answer, ScriptedEndpoint

SHIPPED = Path(__file__).parents[2] / "config" / "model" / "champion"
PATIENT = Endpoint(budget_ms=60_000, connect_timeout_ms=60_000, read_timeout_ms=60_000, attempts=1)


@pytest.fixture(scope="module")
def model() -> InProcessScorer:
    return InProcessScorer.load(SHIPPED)


@pytest.fixture
def endpoint(model: InProcessScorer) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(model, model.description.features, model.identity) as server:
        yield server


def world_of(folder: Path, model: InProcessScorer, endpoint: ScriptedEndpoint, calls: Endpoint = PATIENT) -> World:
    usage, place = EndpointUsage(), Model(endpoint="fraud", endpoint_url=endpoint.url)
    names, identity = model.description.features, model.identity
    scorer = EndpointScorer(place, calls, Aws(), model, names, identity, usage)
    return World(folder, scorer=scorer, endpoint=usage, budget_ms=60_000)


def record(number: int, **fields: Any) -> bytes:
    return wire(transaction(transaction_id=f"t-{number}", **fields))


async def all_of(client: Client, *records: bytes) -> list[Reply]:
    return await asyncio.gather(*(client.decide(each) for each in records))


def ids_on_the_stream(world: World) -> list[str]:
    found = []
    for put in world.stream:
        answered = unseal(put.data, KEYS).answered
        assert answered is not None
        found.append(answered.decision_key)
    return found


class Held:
    """Lets the endpoint answer its first call only when `release` is called."""

    def __init__(self, endpoint: ScriptedEndpoint) -> None:
        self.arrived, self._released = threading.Event(), threading.Event()
        self._honest = endpoint.honest
        endpoint.script = self._answer

    def _answer(self, call: int) -> Answer:
        if call:
            return self._honest
        self.arrived.set()
        return self._honest._replace(wait_for=self._released)

    async def first_call(self) -> None:
        await asyncio.to_thread(self.arrived.wait)

    def release(self) -> None:
        self._released.set()


def test_the_endpoints_score_is_that_of_the_model_in_process(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    async def work(client: Client) -> list[Reply]:
        return [await client.decide(record(number)) for number in range(3)]

    remote = world_of(tmp_path / "remote", model, endpoint).run(work)
    local = World(tmp_path / "local", scorer=model).run(work)
    assert [reply.body["score"] for reply in remote] == [reply.body["score"] for reply in local]
    assert {(reply.body["scored_by"], reply.body["model_version"]) for reply in remote} == {
        ("endpoint", model.model_version)
    }
    assert endpoint.rows == [1, 1, 1]


def test_what_comes_while_a_call_is_under_way_is_scored_together_and_keeps_its_order(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    held, world = Held(endpoint), world_of(tmp_path, model, endpoint)

    async def work(client: Client) -> list[Reply]:
        first = asyncio.create_task(client.decide(record(0)))
        await held.first_call()
        others = [asyncio.create_task(client.decide(record(number))) for number in range(1, 8)]
        repeated = asyncio.create_task(client.decide(record(3)))
        conflicting = asyncio.create_task(client.decide(record(4, amount_minor=9)))
        assert (await conflicting).status == 409
        held.release()
        return await asyncio.gather(first, *others, repeated)

    *replies, repeated = world.run(work)
    assert endpoint.rows == [1, 7]
    assert ids_on_the_stream(world) == [reply.body["decision_key"] for reply in replies]
    assert [reply.body["outcome"] for reply in replies] == ["approve"] * 4 + ["decline"] * 4  # one burst of one card
    assert (repeated.body["repeated"], repeated.body["decision_key"]) == (True, replies[3].body["decision_key"])


@pytest.mark.parametrize("fault", [Answer(status=500), Answer(status=400), Answer(drop=True), Answer(body=b"no")])
def test_an_endpoint_that_fails_leaves_the_score_to_the_model_in_process(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint, fault: Answer
) -> None:
    endpoint.script = lambda _: fault._replace(identity=model.identity)
    world = world_of(tmp_path, model, endpoint)

    async def work(client: Client) -> tuple[Reply, Reply]:
        reply = await client.decide(record(1))
        return reply, await client.ask("GET", "/metrics", scope="metrics")

    reply, metrics = world.run(work)
    assert (reply.status, reply.body["scored_by"]) == (200, "in_process")
    assert reply.body["score"] is not None
    counted = [line for line in metrics.body.decode().splitlines() if line.startswith("fraud_endpoint_fallbacks")]
    assert [float(line.rpartition(" ")[2]) for line in counted] == [1]


def test_an_endpoint_that_takes_too_long_is_not_waited_for(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    held = Held(endpoint)
    hasty = Endpoint(budget_ms=20, connect_timeout_ms=60_000, read_timeout_ms=60_000, attempts=1)
    world = world_of(tmp_path, model, endpoint, hasty)

    async def work(client: Client) -> Reply:
        return await client.decide(record(1))

    reply = world.run(work)
    held.release()
    assert (reply.status, reply.body["scored_by"]) == (200, "in_process")


def test_a_snapshot_holds_nothing_that_still_waits_for_its_score(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    held, world = Held(endpoint), world_of(tmp_path, model, endpoint)

    async def crash(client: Client) -> list[Reply]:
        first = asyncio.create_task(client.decide(record(0)))
        await held.first_call()
        taken = asyncio.create_task(client.service.take_snapshot())
        await asyncio.sleep(0)
        second = asyncio.create_task(client.decide(record(1)))
        held.release()
        replies = await asyncio.gather(first, second)
        await taken
        return [*replies]

    async def again(client: Client) -> list[Reply]:
        return await all_of(client, record(0), record(1), record(2))

    before = world.run(crash, stop=False)
    with structlog.testing.capture_logs() as logged:
        first, second, third = world.run(again)
    recovered = next(line for line in logged if line["event"] == "state recovered")
    assert recovered["journal_entries"] == 1  # the second, which had to wait for the snapshot
    assert not [line for line in logged if line["log_level"] == "error"]
    assert [first.body["decision_key"], second.body["decision_key"]] == [r.body["decision_key"] for r in before]
    assert (first.body["repeated"], second.body["repeated"], third.body["repeated"]) == (True, True, False)


def test_an_end_waits_for_scores_and_keeps_their_answers(
    tmp_path: Path, model: InProcessScorer, endpoint: ScriptedEndpoint
) -> None:
    held, world = Held(endpoint), world_of(tmp_path, model, endpoint)

    async def end_amid(client: Client) -> None:
        asking = asyncio.create_task(client.decide(record(0)))
        await held.first_call()
        asking.cancel()
        held.release()

    async def again(client: Client) -> Reply:
        return await client.decide(record(0))

    world.run(end_amid)
    assert len(world.stream) == 1
    reply = world.run(again)
    assert (reply.status, reply.body["repeated"]) == (200, True)
