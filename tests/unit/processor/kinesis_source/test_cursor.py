"""Reading one shard: trimmed data is named, repeated records are dropped."""

from __future__ import annotations

import pytest

from adapters.aws.errors import ServiceClient
from embedded.simulation.kinesis import InMemoryKinesis
from fraud.errors import FatalError, UnavailableError
from processor.kinesis_source.cursor import ShardCursor
from processor.kinesis_source.offsets import Position

PLACE = ("s", "shardId-000000000000")
DAY_S = 86_400.0


class Clock:
    now_s = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("processor.kinesis_source.cursor.time.time_ns", lambda: int(clock() * 1e9))
    return clock


def stream(clock: Clock, count: int) -> InMemoryKinesis:
    kinesis = InMemoryKinesis(clock)
    kinesis.create_stream("s")
    for number in range(count):
        kinesis.put_record("s", "k", str(number).encode())
    return kinesis


def position_after_first(kinesis: InMemoryKinesis) -> Position:
    first = ShardCursor(ServiceClient("kinesis", kinesis), PLACE, Position("earliest"), True).read(1).records[0]
    return Position(first.sequence_number, False, first.arrival_ms)


def test_trimmed_records_stop_with_the_shard_and_the_gap_in_the_message(clock: Clock) -> None:
    kinesis = stream(clock, 3)
    position = position_after_first(kinesis)
    clock.now_s += 2 * DAY_S
    kinesis.put_record("s", "k", b"later")
    kinesis.trim("s", PLACE[1], 3)
    with pytest.raises(FatalError, match=r"s/shardId-0+: records from 2001-09-09T.* to 2001-09-11T.* are lost"):
        ShardCursor(ServiceClient("kinesis", kinesis), PLACE, position, True).read()


def test_a_shard_that_is_not_found_but_listed_is_not_gone(clock: Clock) -> None:
    kinesis = stream(clock, 3)
    kinesis.faults.extend(["not_found", "not_found"])
    cursor = ShardCursor(ServiceClient("kinesis", kinesis), PLACE, Position("earliest"), True)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
            cursor.read()
    assert [record.data for record in cursor.read().records] == [b"0", b"1", b"2"]


def test_trimmed_records_are_skipped_where_that_is_configured(clock: Clock) -> None:
    kinesis = stream(clock, 3)
    position = position_after_first(kinesis)
    clock.now_s += 2 * DAY_S
    kinesis.put_record("s", "k", b"later")
    kinesis.trim("s", PLACE[1], 3)
    assert [
        record.data for record in ShardCursor(ServiceClient("kinesis", kinesis), PLACE, position, False).read().records
    ] == [b"later"]


def test_a_quiet_shard_whose_read_records_expired_has_lost_nothing(clock: Clock) -> None:
    kinesis = stream(clock, 1)
    position = position_after_first(kinesis)
    clock.now_s += 3 * DAY_S
    kinesis.trim("s", PLACE[1], 1)
    read_recently = Position(position.after, False, int(clock() * 1000) - 60_000)
    assert ShardCursor(ServiceClient("kinesis", kinesis), PLACE, read_recently, True).read().records == []


def test_repeated_records_come_once(clock: Clock) -> None:
    kinesis = stream(clock, 5)
    cursor = ShardCursor(ServiceClient("kinesis", kinesis), PLACE, Position("earliest"), True)
    assert len(cursor.read().records) == 5
    kinesis.put_record("s", "k", b"5")
    kinesis.faults.append("repeat")
    assert [record.data for record in cursor.read().records] == [b"5"]


def test_refused_access_is_said_at_once(clock: Clock) -> None:
    kinesis = stream(clock, 1)
    kinesis.faults.append("denied")
    with pytest.raises(FatalError, match="AccessDeniedException"):
        ShardCursor(ServiceClient("kinesis", kinesis), PLACE, Position("earliest"), True).read()
