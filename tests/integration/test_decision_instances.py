"""Several instances of the decision service on one stream, beside the job's reader."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.streaming.datasource import ReadMaxRows

from adapters.aws.errors import ServiceClient
from adapters.aws.stream_writer import StreamRecord
from decision_service.access import Access
from decision_service.api import Api
from decision_service.service import Service
from decision_service.streams import Arrived, Follower
from embedded.chaos.answers import compare_answers
from embedded.chaos.asking import stated
from embedded.chaos.decide_run import archived
from fraud.errors import UnavailableError
from fraud.records.arrival import RECORD_SCHEMA
from fraud.settings import Answers, Job, Settings
from processor.kinesis_source.cursor import ShardCursor
from processor.kinesis_source.following import Paced, StreamsReader
from processor.kinesis_source.options import Options
from processor.kinesis_source.reader import KinesisStreamReader
from tests.support.answers import KEY, NOON_MS
from tests.support.attempts import LocalJob
from tests.support.decision_services import World
from tests.support.fan_out_double import FanOutKinesis
from tests.support.records import NOON, transaction, wire
from tests.support.servers import serving_app

NAMES = ("fraud-transactions", "fraud-labels")
PAGE = Path(__file__).parents[2] / "docs" / "decisions-api.md"


class Instance(World):
    """An instance with a disk of its own, on streams that it shares with others.

    Args:
        folder: its disk.
        kinesis: has the streams.
        reads: whether it reads them.
    """

    def __init__(self, folder: Path, kinesis: FanOutKinesis, reads: bool = True) -> None:
        super().__init__(folder)
        self.reads = reads
        self.numbers = itertools.count(100 * ord(folder.name))  # which instances are named by
        self._client = ServiceClient("kinesis", kinesis)
        self._running = ExitStack()
        self.service: Service | None = None
        self.address = ""

    def put(self, process: int, records: Sequence[StreamRecord]) -> None:
        super().put(process, records)
        for record in records:
            self._client.put_record(StreamName=NAMES[0], PartitionKey=record.key, Data=record.data)

    def start(self) -> None:
        """Serves, at the address that it had."""
        service = self.service = self.open()
        if self.reads:
            service.follow(StreamsReader(self._client, NAMES, service.positions, "earliest").read, 0.02)
        api = Api(service, Access(self.folder / "keys.json", time.monotonic), lambda: None)
        port = int(self.address.rpartition(":")[2]) if self.address else 0
        self.address = self._running.enter_context(serving_app(api, port))
        if not self.reads:
            service.lag_ms = 0
        until(lambda: service.ready)

    def stop(self) -> None:
        """Ends as it is asked to."""
        assert self.service is not None
        self._running.close()
        self.service.close()
        self.service = None

    def kill(self) -> None:
        """Nothing of it reaches stream, journal or snapshot from now on."""
        self._killed.add(self._opened)
        self._running.close()
        self.service = None


@pytest.fixture
def kinesis() -> FanOutKinesis:
    clock = time.monotonic
    began = clock()
    kinesis = FanOutKinesis(lambda: NOON_MS / 1000 + clock() - began)
    for name in NAMES:
        kinesis.create_stream(name)
    return kinesis


@pytest.fixture
def two(tmp_path: Path, kinesis: FanOutKinesis) -> Iterator[tuple[Instance, Instance]]:
    instances = (Instance(tmp_path / "a", kinesis), Instance(tmp_path / "b", kinesis))
    (tmp_path / "b" / "keys.json").write_bytes((tmp_path / "a" / "keys.json").read_bytes())
    instances[1].tokens = instances[0].tokens  # callers have one key for all
    yield instances
    for instance in instances:
        if instance.service is not None:
            instance.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def payment(card: str, number: int) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(
        wire(transaction(transaction_id=f"{card}-{number}", card_token=card, event_time=NOON))
    )
    return fields


def client() -> Any:
    """The client of the documentation, with the patience that a busy machine needs."""
    (code,) = (code for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "ranked" in code)
    names: dict[str, Any] = {}
    exec(code, names)
    names["decide"].__defaults__ = (60,)
    return names


def ask(instance: Instance, fields: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{instance.address}/v1/decisions",
        json.dumps(fields).encode(),
        {"Authorization": f"Bearer {instance.tokens['decide']}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def on_the_stream(kinesis: FanOutKinesis) -> list[dict[str, Any]]:
    return kinesis.shards(NAMES[0])[0].records


def test_of_two_answers_to_a_payment_the_first_on_the_stream_counts_and_the_other_is_kept_as_conflicting(
    kinesis: FanOutKinesis, two: tuple[Instance, Instance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_ANSWER_KEY", KEY.secret.decode())
    for number, instance in enumerate(two):
        instance.reads = False  # neither sees the other
        instance.now_ms += number
        instance.start()
    answers = []
    for number, instance in enumerate(two):
        answers.append(ask(instance, payment("card", 1)))
        until(lambda least=number + 1: len(on_the_stream(kinesis)) == least)  # type: ignore[misc]
    assert [answer["repeated"] for answer in answers] == [False, False]
    assert answers[0]["decision_key"] == answers[1]["decision_key"]
    assert answers[0]["instance"] != answers[1]["instance"]
    for instance in two:
        instance.stop()
        instance.reads = True
        instance.start()
    assert [ask(instance, payment("card", 1))["repeated"] for instance in two] == [True, True]

    rows = [
        {
            "stream": NAMES[0], "shard": "shard-0", "sequence_number": record["SequenceNumber"], "sub_sequence": 0,
            "arrival_ms": NOON_MS + 100 + number, "data": record["Data"],
        }
        for number, record in enumerate(on_the_stream(kinesis))
    ]  # fmt: skip
    job = LocalJob(tmp_path / "job", pa.Table.from_pylist(rows, schema=RECORD_SCHEMA))
    settings = Settings(job=Job(key_groups=4, partitions=2), answers=Answers(keys={KEY.id: "env:TEST_ANSWER_KEY"}))
    job.start(settings, 10**9).finish([1, 1])
    decisions, dead_letters = archived(job.archive)
    assert decisions["answered_by"].to_pylist() == [answers[0]["instance"]]
    assert dead_letters["reason"].to_pylist() == ["conflicting_answer"]
    key = answers[0]["decision_key"]
    found = compare_answers({key: stated(answers[0])}, {key}, decisions, dead_letters)
    assert (found.lost, found.duplicated) == (0, 0), found.examples


def test_the_cards_of_a_killed_instance_go_on_at_the_other_with_all_that_was_on_the_stream(
    kinesis: FanOutKinesis, two: tuple[Instance, Instance]
) -> None:
    decide = client()
    for instance in two:
        instance.start()
    key, addresses = two[0].tokens["decide"], [instance.address for instance in two]
    owner = {f"card-{number}": decide["ranked"](f"card-{number}", addresses)[0] for number in range(200)}
    cards = [card for address in addresses for card in [card for card in owner if owner[card] == address][:4]]
    for number in range(3):
        for card in cards:
            decide["decide"](payment(card, number), key, addresses)
    assert two[1].service is not None
    other = two[1].service
    until(lambda: len(on_the_stream(kinesis)) == 24 and other.engine.cards == 8)
    two[0].kill()
    mine = [card for card in cards if owner[card] == two[0].address]
    others = [card for card in cards if owner[card] != two[0].address]
    for card in cards:
        again = decide["decide"](payment(card, 2), key, addresses)
        assert again["repeated"], card  # also what the lost one had answered
    outcomes = {card: decide["decide"](payment(card, 3), key, addresses)["outcome"] for card in cards}
    fourth = {card: decide["decide"](payment(card, 4), key, addresses)["outcome"] for card in cards}
    assert set(outcomes.values()) == {"approve"}  # three before it
    assert [fourth[card] for card in mine] == ["decline"] * len(mine)  # four before it, three of them at the other one
    assert [fourth[card] for card in others] == ["decline"] * len(others)
    two[0].start()
    until(lambda: all(decide["decide"](payment(card, 4), key, [two[0].address])["repeated"] for card in cards))
    assert len(on_the_stream(kinesis)) == 40  # nothing was decided twice


def test_a_rolling_restart_under_load_refuses_no_call(kinesis: FanOutKinesis, two: tuple[Instance, Instance]) -> None:
    answered = roll(kinesis, two, rounds=1, cards=4)
    assert answered >= 30


@pytest.mark.long
def test_many_rolling_restarts_under_load_refuse_no_call(
    kinesis: FanOutKinesis, two: tuple[Instance, Instance]
) -> None:
    assert roll(kinesis, two, rounds=10, cards=40) >= 1_000


def roll(kinesis: FanOutKinesis, two: tuple[Instance, Instance], rounds: int, cards: int) -> int:
    """Restarts one instance after the other while payments are asked about; how many were answered, none refused."""
    decide = client()
    for instance in two:
        instance.start()
    key, addresses = two[0].tokens["decide"], [instance.address for instance in two]
    answers: dict[str, dict[str, Any]] = {}
    failures: list[BaseException] = []
    over = threading.Event()

    def pay(caller: int) -> None:
        number = 0
        while not over.is_set():
            fields = payment(f"card-{caller}-{number % cards}", number)
            try:
                answer = decide["decide"](fields, key, addresses)
            except BaseException as failure:
                failures.append(failure)
                return
            answers[answer["decision_key"]] = answer
            number += 1

    callers = [threading.Thread(target=pay, args=(number,)) for number in range(2)]
    for caller in callers:
        caller.start()
    for _ in range(rounds):
        for instance in two:
            before = len(answers)
            instance.stop()
            instance.start()
            until(lambda least=before + 15: len(answers) >= least or bool(failures))  # type: ignore[misc]
    over.set()
    for caller in callers:
        caller.join()
    assert failures == []
    until(lambda: len(on_the_stream(kinesis)) >= len(answers))
    assert len(on_the_stream(kinesis)) == len(answers)  # each payment once: no call had to be made again
    return len(answers)


# Readers that share a shard.


class Counting:
    """A client that knows how many of its reads were answered."""

    def __init__(self, kinesis: FanOutKinesis) -> None:
        self._client = ServiceClient("kinesis", kinesis)
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_records(self, **arguments: Any) -> Any:
        answer = self._client.get_records(**arguments)
        self.reads += 1
        return answer


BACKLOG, MORE, RECORD = 60, 20, b"x" * 20_000


def test_the_job_and_two_instances_read_one_shard_within_their_shares() -> None:
    """A backlog of 1.2 MB, and what is written meanwhile: all get everything in order."""
    kinesis = FanOutKinesis()
    kinesis.limited = True
    kinesis.create_stream("s")
    expected = [kinesis.put_record("s", "k", RECORD)["SequenceNumber"] for _ in range(BACKLOG)]
    clients = [Counting(kinesis) for _ in range(3)]
    found: list[list[str]] = [[], [], []]
    options = Options(("s",), "us-east-1", start="earliest", poll_ms=400, shard_bytes_per_s=1 << 20)
    job = KinesisStreamReader(options, clients[0])

    def following(number: int) -> Follower:
        def opened(place: Any, position: Any) -> Paced:
            return Paced(ShardCursor(clients[number], place, position, True), 512 << 10)

        def take(arrived: Sequence[Arrived]) -> None:
            found[number] += [arrival[2] for part in arrived for arrival, _ in part.records]

        reader = StreamsReader(clients[number], ["s"], {}, "earliest", open_shard=opened)
        return Follower(reader.read, take, 1.0, ended.append)

    ended: list[BaseException] = []
    followers = [following(1), following(2)]
    for follower in followers:
        follower.start()
    offset: dict[str, Any] = {}

    def everything() -> bool:
        nonlocal offset
        following = job.latestOffset(offset, ReadMaxRows(1_000))
        for part in job.partitions(offset, following):
            found[0].extend(name for batch in job.read(part) for name in batch["sequence_number"].to_pylist())
        job.commit(following)
        offset = following
        if len(expected) < BACKLOG + MORE and kinesis.reads:
            expected.append(kinesis.put_record("s", "k", RECORD)["SequenceNumber"])
        return len(expected) == BACKLOG + MORE and all(each == expected for each in found)

    try:
        until(everything)
    finally:
        job.stop()
        for follower in followers:
            follower.close()
    assert ended == []
    assert all(client.reads > 1 for client in clients)
    assert kinesis.throttled <= len(kinesis.reads) // 3  # none but where this machine was late


def test_the_limits_that_they_share_are_those_of_a_shard() -> None:
    now_s = [1_000.0]
    kinesis = FanOutKinesis(lambda: now_s[0])
    kinesis.limited = True
    kinesis.create_stream("s")
    iterator = kinesis.get_shard_iterator("s", "shardId-000000000000", "TRIM_HORIZON")["ShardIterator"]

    def is_answered() -> bool:
        before = kinesis.throttled
        with suppress(UnavailableError):
            kinesis.get_records(iterator)
        return kinesis.throttled == before

    assert [is_answered() for _ in range(6)] == [True] * 5 + [False]
    now_s[0] += 1
    for _ in range(10):
        kinesis.put_record("s", "k", b"x" * (1 << 20))
    assert [is_answered() for _ in range(2)] == [True, False]  # 10 MiB are what 5 s allow
    now_s[0] += 3.9
    assert not is_answered()
    now_s[0] += 0.2
    assert is_answered()
