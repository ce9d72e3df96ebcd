"""Calls of the decision service, and what becomes of them over crashes, faults and what others write."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from decision_service.access import add_key
from decision_service.answers import Answers
from fraud.decision.key import Subject
from fraud.records.answered import unseal
from fraud.settings import Job, Measured
from tests.support.answers import KEYS, sealed
from tests.support.decision_services import Client, Reply, World, serving
from tests.support.records import NOON, label, transaction, wire

_REMEMBERED = 16


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def record(**fields: Any) -> bytes:
    return wire(transaction(**fields))


def shown(reply: Reply) -> dict[str, Any]:
    """An answer without what differs between two times of answering it."""
    return {name: value for name, value in reply.body.items() if name not in ("repeated", "took_ms", "lag_ms")}


def decided(world: World, *records: bytes, stop: bool = True) -> list[Reply]:
    async def work(client: Client) -> list[Reply]:
        return [await client.decide(each) for each in records]

    return world.run(work, stop)  # type: ignore[no-any-return]


def test_a_transaction_is_answered_and_stands_on_the_stream_with_its_answer(world: World) -> None:
    (reply,) = decided(world, record(amount_minor=200_000))
    assert reply.status == 200
    assert (reply.body["outcome"], reply.body["rules"], reply.body["repeated"]) == ("review", ["large"], False)
    assert reply.body["decision_key"] == Subject.of(transaction()).key
    ((put),) = world.stream
    opened = unseal(put.data, KEYS)
    assert put.key == "card-1"
    assert opened.record == record(amount_minor=200_000)
    assert opened.answered is not None
    assert (opened.answered.outcome, opened.answered.received_ms) == ("review", world.now_ms)


def test_the_same_transaction_gets_the_same_answer_marked_as_repeated(world: World) -> None:
    first, again = decided(world, record(), record(sent_at=NOON + dt.timedelta(seconds=9)))
    assert shown(first) == shown(again)
    assert (first.body["repeated"], again.body["repeated"]) == (False, True)
    assert len(world.stream) == 1


def test_after_a_crash_the_same_transaction_gets_the_same_answer(world: World) -> None:
    (first,) = decided(world, record(), stop=False)
    (again,) = decided(world, record())
    assert shown(first) == shown(again)
    assert again.body["repeated"]


def test_a_record_of_the_stream_with_its_answer_gets_no_second_one(world: World) -> None:
    refused, after = decided(world, sealed(), record())
    assert (refused.status, refused.body["reason"]) == (422, "unsupported_version")
    assert after.status == 200


def test_calls_at_the_same_time_share_one_decision(world: World) -> None:
    async def work(client: Client) -> list[Reply]:
        return await asyncio.gather(*(client.decide(record()) for _ in range(5)))

    replies = world.run(work)
    assert [reply.body["repeated"] for reply in replies] == [False, True, True, True, True]
    assert len(world.stream) == 1


def test_other_content_under_the_same_id_is_a_conflict(world: World) -> None:
    _, other = decided(world, record(), record(amount_minor=1))
    assert (other.status, other.body["reason"]) == (409, "duplicate")
    assert other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("stop", [True, False])
def test_the_answer_stays_when_the_cards_memory_has_forgotten_the_payment(world: World, stop: bool) -> None:
    world.settings = world.settings.model_copy(update={"job": Job(entities={"card": Measured(events=_REMEMBERED)})})
    late = record(event_time=NOON - dt.timedelta(hours=30))
    others = [record(transaction_id=f"newer-{n}") for n in range(_REMEMBERED + 1)]
    first, *_, again, other = decided(world, late, *others, late, record(amount_minor=1))
    (after,) = decided(world, late, stop=stop)
    assert shown(first) == shown(again) == shown(after)
    assert (first.body["repeated"], again.body["repeated"], other.status) == (False, True, 409)


def test_a_payment_that_came_unasked_first_is_not_decided_here(world: World) -> None:
    async def work(client: Client) -> Reply:
        await client.arrive("fraud-transactions", [record()])
        return await client.decide(record())

    assert world.run(work).status == 409


def test_what_others_write_counts_for_the_next_decision(world: World) -> None:
    async def work(client: Client) -> Reply:
        await client.arrive("fraud-transactions", [record(transaction_id=f"t-{n}") for n in range(4)])
        return await client.decide(record(transaction_id="t-9"))

    assert world.run(work).body["rules"] == ["fast"]


def test_own_decisions_that_come_back_on_the_stream_count_once(world: World) -> None:
    async def work(client: Client) -> Reply:
        for number in range(3):
            await client.decide(record(transaction_id=f"t-{number}"))
            await asyncio.to_thread(wait_for_stream, world, number + 1)
            await client.arrive("fraud-transactions", [world.stream[-1].data])
        return await client.decide(record(transaction_id="t-9"))

    assert world.run(work).body["rules"] == []  # three before it, the rule asks for more


def wait_for_stream(world: World, count: int) -> None:
    pause = threading.Event()
    for _ in range(3_000):
        if len(world.stream) >= count:
            return
        pause.wait(0.01)
    raise AssertionError("nothing came on the stream")


@pytest.mark.parametrize("stop", [True, False])
def test_state_goes_on_after_a_stop_or_a_crash(world: World, stop: bool) -> None:
    decided(world, *(record(transaction_id=f"t-{n}") for n in range(4)), stop=stop)
    (reply,) = decided(world, record(transaction_id="t-9"))
    assert reply.body["rules"] == ["fast"]


def test_the_index_is_durable_up_to_the_snapshot_that_a_start_goes_on_from(world: World) -> None:
    async def work(client: Client) -> None:
        await client.decide(record(transaction_id="t-0"))
        await client.service.take_snapshot()
        # What a power loss leaves of the index: the file, without what its log has beyond it.
        (world.folder / "left.db").write_bytes((world.folder / "answers.db").read_bytes())

    world.run(work, stop=False)
    left = Answers(world.folder / "left.db")
    assert [kept.answer for kept in left.of_payment("card-1", "t-0")]


def test_a_snapshot_is_taken_while_calls_go_on_and_a_start_goes_on_from_it(world: World) -> None:
    async def work(client: Client) -> list[int]:
        await client.decide(record(transaction_id="t-0"))
        taking = asyncio.create_task(client.service.take_snapshot())
        statuses = [(await client.decide(record(transaction_id=f"t-{n}"))).status for n in range(1, 4)]
        await taking
        return statuses

    assert world.run(work, stop=False) == [200, 200, 200]
    (taken,) = (world.folder / "snapshots").iterdir()
    for segment in (world.folder / "journal").glob("*.journal"):  # what the snapshot has is not read again
        data = segment.read_bytes()
        segment.write_bytes(b"x" + data[1:])
    (reply,) = decided(world, record(transaction_id="t-9"))
    assert reply.body["rules"] == ["fast"]
    assert taken.exists()


def test_labels_that_wait_for_their_transaction_outlive_a_restart(world: World) -> None:
    async def label_comes(client: Client) -> None:
        await client.arrive("fraud-labels", [wire(label())])

    def waiting() -> list[int]:
        states = world.open().engine.path.states.values()
        return [len(state.waiting) for state in states if len(state.waiting)]

    world.run(label_comes)
    assert waiting() == [1]


def test_answers_of_another_instance_are_known_once_they_came_on_the_stream(world: World, tmp_path: Path) -> None:
    (first,) = decided(world, record())
    other = World(tmp_path / "other")

    async def work(client: Client) -> Reply:
        await client.arrive("fraud-transactions", [world.stream[0].data])
        await asyncio.to_thread(client.service.answers_kept)
        return await client.decide(record())

    again = other.run(work)
    assert shown(again) == shown(first)
    assert again.body["repeated"]


def test_a_journal_is_put_on_the_stream_once_the_stream_takes_it(world: World) -> None:
    world.refuses = True
    (reply,) = decided(world, record(), stop=False)
    assert reply.status == 200
    assert world.stream == []
    world.refuses = False
    decided(world, record(transaction_id="t-2"))
    assert [unseal(put.data, KEYS).record for put in world.stream] == [record(), record(transaction_id="t-2")]


def test_with_stream_durability_nothing_is_answered_that_the_stream_refused(tmp_path: Path, monkeypatch: Any) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os.kill", lambda _, number: ended.append(number))
    world = World(tmp_path, durability="stream")
    assert decided(world, record())[0].status == 200
    world.refuses = True
    refused, afterwards = decided(world, record(transaction_id="t-2"), record(transaction_id="t-3"))
    assert (refused.status, afterwards.status) == (503, 503)
    assert refused.headers["retry-after"] == "1"
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"{", 422, "undecodable"),
        (b"", 422, "undecodable"),
        (record(mcc="x"), 422, "invalid"),
        (record(card_token="4111111111111111"), 422, "card_number"),
        (record(event_time=NOON - dt.timedelta(days=30)), 422, "too_old"),
        (b"x" * 20_000, 413, None),
    ],
)
def test_what_the_stream_would_refuse_is_refused_in_the_call(
    world: World, sent: bytes, status: int, reason: str | None
) -> None:
    (reply,) = decided(world, sent)
    assert (reply.status, reply.body.get("reason")) == (status, reason)
    assert "4111111111111111" not in str(reply.body)
    assert world.stream == []


def test_a_batch_is_answered_in_its_order(world: World) -> None:
    async def work(client: Client) -> Reply:
        body = b"[" + b",".join([record(), record(mcc="x"), record(transaction_id="t-2"), record()]) + b"]"
        return await client.ask("POST", "/v1/decisions:batch", body)

    results = world.run(work).body["results"]
    assert [result["status"] for result in results] == [200, 422, 200, 200]
    assert results[3]["decision"]["repeated"]


def test_decisions_are_looked_up_by_key_and_by_card_and_transaction(world: World) -> None:
    async def work(client: Client) -> tuple[Reply, Reply, Reply, Reply]:
        reply = await client.decide(record())
        await asyncio.to_thread(client.service.answers_kept)
        key = reply.body["decision_key"]
        query = b'{"card_token":"card-1","transaction_id":"t-1"}'
        return (
            reply,
            await client.ask("GET", f"/v1/decisions/{key}", scope="read"),
            await client.ask("POST", "/v1/decisions:lookup", query, scope="read"),
            await client.ask("GET", f"/v1/decisions/{'a' * 40}", scope="read"),
        )

    reply, by_key, found, missing = world.run(work)
    assert by_key.body == shown(reply)
    assert found.body == {"decisions": [shown(reply)]}
    assert missing.status == 404


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/x", "/openapi.json", "/metrics", "/", "/nothing"])
def test_nothing_is_answered_without_a_key(world: World, path: str) -> None:
    async def work(client: Client) -> list[Reply]:
        return [
            await client.ask("POST", path, record(), scope=None),
            await client.ask("POST", path, record(), token="fd_other"),
        ]

    assert [reply.status for reply in world.run(work)] == [401, 401]


def test_a_key_is_good_for_its_scopes_alone(world: World) -> None:
    async def work(client: Client) -> list[int]:
        return [
            (await client.ask("POST", "/v1/decisions", record(), scope="read")).status,
            (await client.ask("GET", "/metrics", scope="decide")).status,
            (await client.ask("GET", "/metrics", scope="metrics")).status,
            (await client.ask("GET", "/v1/decisions", scope="decide")).status,
        ]

    assert world.run(work) == [403, 403, 200, 405]


def test_a_key_that_asks_too_often_is_sent_away(world: World) -> None:
    token = add_key(world.folder / "keys.json", "slow", frozenset(["decide"]), 2)

    async def work(client: Client) -> list[int]:
        return [
            (await client.ask("POST", "/v1/decisions", record(transaction_id=f"t-{n}"), token=token)).status
            for n in range(3)
        ]

    assert world.run(work) == [200, 200, 429]


def test_it_is_ready_once_it_has_caught_up(world: World) -> None:
    async def work(client: Client) -> list[int]:
        before = (await client.ask("GET", "/ready", scope=None)).status, (await client.decide(record())).status
        await client.arrive("fraud-labels", [wire(label())])
        return [*before, (await client.ask("GET", "/ready", scope=None)).status]

    assert world.run(work, caught_up=False) == [503, 503, 200]


def test_a_request_that_waited_too_long_is_decided_by_rules_alone_and_says_so(world: World) -> None:
    async def work(client: Client) -> tuple[str, int]:
        client.service.late_s = 0.2
        reply = await client.decide(record())
        client.service.late_s = 3.0
        return reply.body["scored_by"], (await client.decide(record(transaction_id="t-2"))).status

    assert world.run(work) == ("rules_only", 503)


def test_answering_leaves_nothing_for_the_garbage_collector(world: World) -> None:
    """A collection stops every call, for longer the more there is."""
    count = 100
    with serving(world) as address, socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)) as connection:
        _ask_over(connection, world, range(20))
        gc.collect()
        gc.disable()
        try:
            _ask_over(connection, world, range(20, 20 + count))
            assert gc.collect() < count  # a cycle has several objects; threads of other tests may leave some
        finally:
            gc.enable()


def _ask_over(connection: socket.socket, world: World, numbers: Iterable[int]) -> None:
    """One after the other, by a client that leaves nothing itself and tries again where the service is busy."""
    for number in numbers:
        body = record(transaction_id=f"t-{number}")
        head = f"POST /v1/decisions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {world.tokens['decide']}\r\n"
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200 "):
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            answer = connection.recv(65_536)
            while not answer.endswith(b"}"):
                answer += connection.recv(65_536)
