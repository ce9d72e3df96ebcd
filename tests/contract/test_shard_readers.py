"""What a reader of a shard must do, whether it polls (GetRecords) or is pushed to (SubscribeToShard)."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from adapters.aws.errors import ServiceClient
from adapters.aws.shard_subscription import Caller, ShardSubscription
from embedded.simulation.kinesis import InMemoryKinesis
from fraud.errors import FatalError, UnavailableError
from processor.kinesis_source.cursor import TRANSIENT, Fetched, ShardCursor, ShardReader
from processor.kinesis_source.fan_out import Ahead, FanOutCursor, registered_consumer
from processor.kinesis_source.offsets import Position
from tests.support.certificates import self_signed
from tests.support.fan_out_double import FanOutKinesis, Terms
from tests.support.kinesis_server import serve

PLACE = ("s", "shardId-000000000000")
DAY_MS = 86_400_000

Open = Callable[..., ShardReader]


class Server:
    """A Kinesis on loopback with one stream of one shard.

    Args:
        url: its address.
        kinesis: what it serves.
    """

    def __init__(self, url: str, kinesis: FanOutKinesis) -> None:
        self.url = url
        self.kinesis = kinesis
        self.client = ServiceClient("kinesis", kinesis)
        self.caller = Caller(url, "us-east-1", lambda: ReadOnlyCredentials("local", "local", None), None)
        kinesis.create_stream("s")

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.kinesis.put_record("s", "k", str(number).encode())

    def polled(self, position: Position, fail_on_data_loss: bool = True) -> ShardReader:
        return ShardCursor(self.client, PLACE, position, fail_on_data_loss)

    def pushed(self, position: Position, fail_on_data_loss: bool = True) -> ShardReader:
        consumer = registered_consumer(self.client, "s", "reader")
        return FanOutCursor(
            self.client,
            partial(ShardSubscription, self.caller),
            consumer,
            PLACE,
            position,
            fail_on_data_loss,
            again_after_s=self.kinesis.terms.again_s,
        )


@pytest.fixture
def server() -> Iterator[Server]:
    kinesis = FanOutKinesis(terms=Terms(again_s=0.0, records=3, idle_s=0.01))
    with serve(kinesis) as url:
        yield Server(url, kinesis)


@pytest.fixture(params=["polled", "pushed"])
def opening(request: pytest.FixtureRequest, server: Server) -> Iterator[Open]:
    opened: list[ShardReader] = []

    def opening(*arguments: Any) -> ShardReader:
        opened.append(getattr(server, request.param)(*arguments))
        return opened[-1]

    yield opening
    for reader in opened:
        reader.close()


def read(reader: ShardReader, until: Callable[[list[Fetched]], bool]) -> list[Fetched]:
    """Reads, trying again, until what came satisfies."""
    came: list[Fetched] = []
    failures = 0
    while not until(came):
        try:
            came.append(reader.read())
        except TRANSIENT:
            failures += 1
            assert failures < 100
    return came


def read_on(reader: ShardReader, came: list[Fetched] | None = None) -> None:
    while True:
        fetched = reader.read()
        if came is not None:
            came.append(fetched)


def numbers(came: list[Fetched]) -> list[int]:
    return [int(record.data) for fetched in came for record in fetched.records]


def count(wanted: int) -> Callable[[list[Fetched]], bool]:
    return lambda came: len(numbers(came)) >= wanted


def test_every_record_comes_once_in_order_to_the_tip(server: Server, opening: Open) -> None:
    server.put(*range(10))
    reader = opening(Position("earliest"))
    came = read(reader, count(10))
    assert numbers(came) == list(range(10))
    server.put(10, 11)
    assert numbers(read(reader, count(2))) == [10, 11]
    assert read(reader, lambda came: bool(came))[-1].lag_ms == 0


def test_it_goes_on_behind_a_record(server: Server, opening: Open) -> None:
    server.put(*range(6))
    third = read(opening(Position("earliest")), count(6))
    record = [record for fetched in third for record in fetched.records][2]
    assert numbers(read(opening(Position(record.sequence_number, False, record.arrival_ms)), count(3))) == [3, 4, 5]


def test_it_begins_at_a_time(server: Server, opening: Open) -> None:
    server.put(0, 1)
    for record in server.kinesis.shards("s")[0].records[:1]:
        record["ApproximateArrivalTimestamp"] = record["ApproximateArrivalTimestamp"].replace(year=2001)
    assert numbers(read(opening(Position(f"@{1_500_000_000_000}")), count(1))) == [1]


def test_a_shard_ends_behind_its_last_record(server: Server, opening: Open) -> None:
    server.put(*range(5))
    server.kinesis.split_in_half("s", PLACE[1])
    came = read(opening(Position("earliest")), lambda came: bool(came) and came[-1].ended)
    assert numbers(came) == list(range(5))
    assert [fetched.ended for fetched in came[:-1]] == [False] * (len(came) - 1)


def test_trimmed_records_stop_it_with_the_gap_in_the_message(server: Server, opening: Open) -> None:
    gone = trimmed(server)
    with pytest.raises(FatalError, match=r"s/shardId-0+: records from .* to .* are lost: they were trimmed"):
        read(opening(gone), count(1))


def test_trimmed_records_are_skipped_where_that_is_configured(server: Server, opening: Open) -> None:
    assert numbers(read(opening(trimmed(server), False), count(1))) == [9]


def trimmed(server: Server) -> Position:
    """A position of two days ago whose record and followers are gone."""
    server.put(*range(3))
    first = server.kinesis.shards("s")[0].records[0]
    server.kinesis.trim("s", PLACE[1], 3)
    server.put(9)
    arrival_ms = round(first["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return Position(first["SequenceNumber"], False, arrival_ms - 2 * DAY_MS)


def test_a_quiet_shard_whose_read_records_expired_has_lost_nothing(server: Server, opening: Open) -> None:
    server.put(0)
    first = server.kinesis.shards("s")[0].records[0]
    server.kinesis.trim("s", PLACE[1], 1)
    arrival_ms = round(first["ApproximateArrivalTimestamp"].timestamp() * 1000)
    reader = opening(Position(first["SequenceNumber"], False, arrival_ms - 60_000))
    assert numbers(read(reader, lambda came: bool(came))) == []
    server.put(1)
    assert numbers(read(reader, count(1))) == [1]


def test_a_shard_that_is_gone_has_lost_its_records(server: Server, opening: Open) -> None:
    server.put(0)
    server.kinesis.split_in_half("s", PLACE[1])
    server.kinesis.expire("s", PLACE[1])
    with pytest.raises(FatalError, match="the shard is gone"):
        opening(Position("earliest")).read()


def test_a_shard_that_is_not_found_but_listed_is_not_gone(server: Server, opening: Open) -> None:
    server.put(0)
    server.kinesis.faults.append("not_found")
    server.kinesis.subscribe_faults.append("ResourceNotFoundException")
    reader = opening(Position("earliest"))
    with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
        reader.read()
    assert numbers(read(reader, count(1))) == [0]


def test_refused_access_is_said_at_once(server: Server, opening: Open) -> None:
    server.kinesis.faults.append("denied")
    server.kinesis.subscribe_faults.append("AccessDeniedException")
    with pytest.raises(FatalError, match=r"cannot be read: kinesis .*AccessDeniedException"):
        opening(Position("earliest")).read()


def test_what_may_pass_costs_only_another_call(server: Server, opening: Open) -> None:
    server.put(*range(4))
    server.kinesis.faults.extend(["throttle", "internal", "expired_token"] * 2)
    server.kinesis.subscribe_faults.extend(["LimitExceededException", "InternalFailure", "ExpiredTokenException"])
    assert numbers(read(opening(Position("earliest")), count(4))) == [0, 1, 2, 3]
    assert not server.kinesis.subscribe_faults or server.kinesis.subscriptions == {}


def test_after_renewal_it_continues_where_it_was(server: Server, opening: Open) -> None:
    server.put(*range(4))
    reader = opening(Position("earliest"))
    came = read(reader, count(3))
    reader.renew()
    server.put(4)
    assert numbers(came + read(reader, count(5 - len(numbers(came))))) == [0, 1, 2, 3, 4]


# Pushed alone.


def test_a_subscription_that_ends_is_renewed_without_a_word(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.kinesis.terms.lasts_s = 0.0
    server.put(*range(4))
    reader = server.pushed(Position("earliest"))
    waiting = iter([0.0, 0.0, 60.0])
    subscribe = server.kinesis.subscribe_to_shard

    def lasting(**arguments: Any) -> Any:
        server.kinesis.terms.lasts_s = next(waiting)
        return subscribe(**arguments)

    monkeypatch.setattr(server.kinesis, "subscribe_to_shard", lasting)
    assert numbers([reader.read(), reader.read()]) == [0, 1, 2, 3]
    assert next(waiting, None) is None
    reader.close()


@pytest.mark.parametrize(
    "code",
    ["ResourceInUseException", "InternalFailureException", "KMSThrottlingException", "KMSAccessDeniedException"],
)
def test_an_error_in_place_of_an_event_costs_a_subscription(server: Server, code: str) -> None:
    server.put(*range(4))
    server.kinesis.push_faults.extend(["", code])
    reader = server.pushed(Position("earliest"))
    came = [reader.read()]
    reader.renew()
    with pytest.raises(UnavailableError, match=code):
        reader.read()
    assert numbers([*came, reader.read()]) == [0, 1, 2, 3]
    reader.close()


def test_another_subscription_of_the_same_consumer_takes_its_place(server: Server) -> None:
    server.put(0)
    first, second = (server.pushed(Position("earliest")) for _ in range(2))
    assert numbers([first.read(), second.read()]) == [0, 0]
    with pytest.raises(UnavailableError, match="ResourceInUseException"):
        read_on(first)
    first.close()
    second.close()


def test_a_second_subscription_is_refused_for_five_seconds_and_waits_for_them(server: Server) -> None:
    server.kinesis.terms.again_s = 0.3
    server.put(0)
    reader = server.pushed(Position("earliest"))
    assert numbers([reader.read()]) == [0]
    with pytest.raises(UnavailableError, match="ResourceInUseException"):
        server.pushed(Position("earliest")).read()  # as after a restart: nothing is known of the one before
    reader.renew()
    server.put(1)
    assert numbers([reader.read()]) == [1]
    reader.close()


def test_a_silent_service_is_asked_and_then_given_up(server: Server) -> None:
    server.put(0)
    server.kinesis.silent = 1
    consumer = registered_consumer(server.client, "s", "reader")
    silent = ShardSubscription(server.caller, consumer, PLACE[1], {"Type": "TRIM_HORIZON"}, silence_s=0.05)
    with pytest.raises(UnavailableError, match="Silence: nothing came for"):
        silent.next()
    silent.close()


def test_a_service_with_nothing_to_push_is_alive(server: Server) -> None:
    server.kinesis.terms.idle_s = 1e6
    server.put(0)
    consumer = registered_consumer(server.client, "s", "reader")
    quiet = ShardSubscription(server.caller, consumer, PLACE[1], {"Type": "TRIM_HORIZON"}, silence_s=0.05)
    first, sign = quiet.next(), quiet.next()
    assert first is not None
    assert sign is not None
    assert (len(first.records), len(sign.records), sign.continuation) == (1, 0, first.continuation)
    quiet.close()


def test_what_is_not_taken_is_not_sent(server: Server) -> None:
    server.kinesis.terms.records = 1
    for _ in range(20):
        server.kinesis.put_record("s", "k", b"x" * (512 << 10))
    reader = server.pushed(Position("earliest"))
    assert len(reader.read().records) == 1
    (subscription,) = next(iter(server.kinesis.subscriptions.values()))
    sent, looks = 0, 0
    while looks < 100:  # until it has come to a stop
        looks, sent = (looks + 1 if subscription.next_index == sent else 0), subscription.next_index
        threading.Event().wait(0.002)
    assert 4 <= sent <= 9  # 4 MiB may be on their way
    for _ in range(sent + 1):
        assert len(reader.read().records) == 1
    reader.close()


def test_a_server_without_http_2_is_named(server: Server) -> None:
    with serve(InMemoryKinesis()) as url, pytest.raises(UnavailableError, match=r"not .*HTTP/2"):
        ShardSubscription(server.caller._replace(address=url), "arn", PLACE[1], {"Type": "LATEST"})


def test_a_consumer_is_registered_once_and_awaited(server: Server) -> None:
    server.kinesis.terms.creating_s = 0.3
    arns = {registered_consumer(server.client, "s", "c") for _ in range(2)}
    assert len(arns) == 1
    assert list(server.kinesis._consumers) == list(arns)


def test_throttled_registrations_are_tried_again(server: Server) -> None:
    arns = {registered_consumer(server.client, "s", f"c{number}") for number in range(7)}
    assert len(arns) == 7


def test_a_reader_ahead_gives_what_came_without_waiting(server: Server) -> None:
    server.put(*range(5))
    ahead = Ahead(server.pushed(Position("earliest")), PLACE)
    came: list[Fetched] = []
    while len(numbers(came)) < 5 or came[-1].lag_ms:
        came.append(ahead.read())
    assert numbers(came) == [0, 1, 2, 3, 4]
    server.kinesis.split_in_half("s", PLACE[1])
    while not came[-1].ended:
        came.append(ahead.read())
    ahead.close()


def test_a_reader_ahead_says_what_cannot_be_read_after_what_came(server: Server) -> None:
    server.put(0)
    server.kinesis.subscribe_faults.extend(["", "AccessDeniedException"])
    server.kinesis.terms.lasts_s = 0.05
    ahead = Ahead(server.pushed(Position("earliest")), PLACE)
    came: list[Fetched] = []
    with pytest.raises(FatalError, match="AccessDeniedException"):
        read_on(ahead, came)
    assert numbers(came) == [0]
    ahead.close()


def test_lost_credentials_are_replaced(server: Server) -> None:
    keys = ["first"]
    consumer = registered_consumer(server.client, "s", "reader")

    def credentials() -> Any:
        return ReadOnlyCredentials(keys[0], "secret", "token")

    subscribe = partial(ShardSubscription, server.caller._replace(credentials=credentials))
    reader = FanOutCursor(server.client, subscribe, consumer, PLACE, Position("earliest"), True, again_after_s=0.0)
    server.kinesis.valid_key = "second"
    server.put(0)
    with pytest.raises(UnavailableError, match="ExpiredTokenException"):
        reader.read()
    keys[0] = "second"
    assert numbers([reader.read()]) == [0]
    reader.close()


def test_over_tls_it_speaks_http_2_with_a_server_that_it_trusts(server: Server, tmp_path: Path) -> None:
    server.put(0)
    certificate = self_signed(tmp_path)
    consumer = registered_consumer(server.client, "s", "reader")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    context.set_alpn_protocols(["h2"])
    from_the_start = {"Type": "TRIM_HORIZON"}
    with serve(server.kinesis, context) as url:
        trusting = server.caller._replace(address=url, certificates=certificate.certificate)
        subscription = ShardSubscription(trusting, consumer, PLACE[1], from_the_start)
        pushed = subscription.next()
        subscription.close()
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            ShardSubscription(trusting._replace(certificates=None), consumer, PLACE[1], from_the_start)
    assert pushed is not None
    assert [record.data for record in pushed.records] == [b"0"]
    context.set_alpn_protocols(["http/1.1"])
    with serve(server.kinesis, context) as url, pytest.raises(UnavailableError, match="does not speak HTTP/2"):
        ShardSubscription(trusting._replace(address=url), consumer, PLACE[1], from_the_start)
