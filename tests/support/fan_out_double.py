"""Enhanced fan-out over the Kinesis double of the simulator: consumers, and subscriptions with their limits.

What it is held to: Amazon's API reference of RegisterStreamConsumer, SubscribeToShard and SubscribeToShardEvent.
"""

# ruff: noqa: N803, TID251  # boto3's names; stamps arrivals

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from embedded.simulation.kinesis import InMemoryKinesis, Shard, kinesis_error
from fraud.errors import ServiceError

_ACCOUNT = "arn:aws:kinesis:us-east-1:000000000000:stream/"
_READS_PER_S = 5
_READ_BYTES_PER_S = 2 << 20
_CONSUMERS = 20
_BEING_REGISTERED = 5
_REGISTRATIONS_PER_S = 5


@dataclass
class Terms:
    """What subscriptions are given on; the defaults are the service's.

    Attributes:
        lasts_s: how long one lives.
        again_s: how long a second one of the same consumer and shard is refused.
        creating_s: how long a consumer is being registered.
        records: most records of an event.
        idle_s: how often an event without records comes.
    """

    lasts_s: float = 300.0
    again_s: float = 5.0
    creating_s: float = 0.0
    records: int = 1_000
    idle_s: float = 1.0


@dataclass
class Consumer:
    """A consumer; `active_at_s` by the double's clock."""

    stream: str
    name: str
    active_at_s: float

    @property
    def arn(self) -> str:
        return f"{_ACCOUNT}{self.stream}/consumer/{self.name}:1600000000"


@dataclass
class Subscription:
    """What one accepted call pushes.

    Attributes:
        taken_over: another call has taken its place.
        failing: the code of an error that comes next in place of an event.
    """

    kinesis: FanOutKinesis
    shard: Shard
    next_index: int
    until_s: float
    taken_over: bool = False
    failing: str | None = None
    over: bool = False
    _said_at_s: float = -1e9
    _last: str = field(default="0")

    def next(self) -> dict[str, Any] | ServiceError | None:
        """An event, an error in place of one, or None where there is nothing yet; `over` says that nothing follows."""
        kinesis = self.kinesis
        with kinesis.guard:
            now_s = kinesis.now_s()
            if self.taken_over or self.failing:
                self.over = True
                return kinesis_error(self.failing or "ResourceInUseException", "SubscribeToShard")
            if now_s >= self.until_s:
                self.over = True
                return None
            begin = max(0, self.next_index - self.shard.trimmed)
            records = self.shard.records[begin : begin + kinesis.terms.records]
            end = begin + len(records)
            ended = self.shard.closed and end == len(self.shard.records)
            if not records and not ended and now_s - self._said_at_s < kinesis.terms.idle_s:
                return None
            self._said_at_s, self.next_index, self.over = now_s, self.shard.trimmed + end, ended
            if records:
                self._last = records[-1]["SequenceNumber"]
            behind = 0
            if end < len(self.shard.records):
                arrival_s = self.shard.records[end]["ApproximateArrivalTimestamp"].timestamp()
                behind = max(1, int((now_s - arrival_s) * 1000))
            event = {"Records": records, "MillisBehindLatest": behind}
            if ended:
                return event | {"ChildShards": kinesis.children(self.shard)}
            return event | {"ContinuationSequenceNumber": self._last}


class FanOutKinesis(InMemoryKinesis):
    """A Kinesis whose streams have consumers.

    Attributes:
        terms: of subscriptions.
        subscribe_faults: codes that the next calls of SubscribeToShard are refused with; an empty one accepts.
        push_faults: codes that the next subscriptions fail with behind their first event; an empty one does not.
        cuts: over HTTP, bytes behind which the connections of the next subscriptions are cut.
        silent: over HTTP, how many of the next subscriptions say nothing more once they are accepted.
        subscriptions: those that were accepted, by consumer ARN and shard.
        limited: whether a shard gives 5 reads and 2 MiB a second, as the service's do.
        throttled: reads that were beyond.
    """

    def __init__(self, clock: Callable[[], float] = time.time, terms: Terms | None = None) -> None:
        super().__init__(clock)
        self.now_s = clock
        self.guard = self._lock
        self.terms = terms or Terms()
        self.subscribe_faults: deque[str] = deque()
        self.push_faults: deque[str] = deque()
        self.cuts: deque[int] = deque()
        self.silent = 0
        self.subscriptions: dict[tuple[str, str], list[Subscription]] = defaultdict(list)
        self.limited = False
        self.throttled = 0
        self._reads_s: dict[str, deque[float]] = defaultdict(deque)
        self._paid_s: dict[str, float] = defaultdict(float)
        self._accepted_at_s: dict[tuple[str, str], float] = {}
        self._consumers: dict[str, Consumer] = {}
        self._registrations_s: deque[float] = deque()

    def get_records(self, ShardIterator: str, Limit: int = 10_000) -> dict[str, Any]:
        with self.guard:
            now_s, shard = self.now_s(), ShardIterator.rpartition("|")[0]
            reads_s = self._reads_s[shard]
            while reads_s and now_s - reads_s[0] >= 1:
                reads_s.popleft()
            if self.limited and (len(reads_s) >= _READS_PER_S or self._paid_s[shard] - now_s > 1):
                self.throttled += 1
                raise kinesis_error("ProvisionedThroughputExceededException", "GetRecords")
            answer = super().get_records(ShardIterator, Limit)
            reads_s.append(now_s)
            size = sum(len(record["Data"]) for record in answer["Records"])
            self._paid_s[shard] = max(now_s, self._paid_s[shard]) + size / _READ_BYTES_PER_S
            return answer

    def describe_stream_summary(self, StreamName: str) -> dict[str, Any]:
        summary = super().describe_stream_summary(StreamName)
        summary["StreamDescriptionSummary"]["StreamARN"] = _ACCOUNT + StreamName
        return summary

    def register_stream_consumer(self, StreamARN: str, ConsumerName: str) -> dict[str, Any]:
        with self.guard:
            now_s = self.now_s()
            while self._registrations_s and now_s - self._registrations_s[0] >= 1:
                self._registrations_s.popleft()
            stream = StreamARN.removeprefix(_ACCOUNT)
            consumer = Consumer(stream, ConsumerName, now_s + self.terms.creating_s)
            of_stream = [found for found in self._consumers.values() if found.stream == stream]
            being = sum(found.active_at_s > now_s for found in self._consumers.values())
            if len(self._registrations_s) >= _REGISTRATIONS_PER_S:
                raise kinesis_error("LimitExceededException", "RegisterStreamConsumer")
            self._registrations_s.append(now_s)
            if stream not in self._streams:
                raise kinesis_error("ResourceNotFoundException", "RegisterStreamConsumer")
            if consumer.arn in self._consumers:
                raise kinesis_error("ResourceInUseException", "RegisterStreamConsumer")
            if len(of_stream) >= _CONSUMERS or being >= _BEING_REGISTERED:
                raise kinesis_error("LimitExceededException", "RegisterStreamConsumer")
            self._consumers[consumer.arn] = consumer
            return {"Consumer": self._description(consumer)}

    def describe_stream_consumer(self, StreamARN: str, ConsumerName: str) -> dict[str, Any]:
        with self.guard:
            arn = Consumer(StreamARN.removeprefix(_ACCOUNT), ConsumerName, 0).arn
            if arn not in self._consumers:
                raise kinesis_error("ResourceNotFoundException", "DescribeStreamConsumer")
            return {"ConsumerDescription": self._description(self._consumers[arn])}

    def subscribe_to_shard(self, ConsumerARN: str, ShardId: str, StartingPosition: dict[str, Any]) -> Subscription:
        with self.guard:
            now_s = self.now_s()
            if fault := (self.subscribe_faults.popleft() if self.subscribe_faults else ""):
                raise kinesis_error(fault, "SubscribeToShard")
            consumer = self._consumers.get(ConsumerARN)
            if consumer is None:
                raise kinesis_error("ResourceNotFoundException", "SubscribeToShard")
            place = (ConsumerARN, ShardId)
            if consumer.active_at_s > now_s or now_s - self._accepted_at_s.get(place, -1e9) < self.terms.again_s:
                raise kinesis_error("ResourceInUseException", "SubscribeToShard")
            shard = self._shard(consumer.stream, ShardId)
            subscription = Subscription(self, shard, self._begin(shard, StartingPosition), now_s + self.terms.lasts_s)
            if shard.records and subscription.next_index > shard.trimmed:
                before = shard.records[subscription.next_index - shard.trimmed - 1]
                subscription._last = before["SequenceNumber"]
            if fault := (self.push_faults.popleft() if self.push_faults else ""):
                subscription.failing = fault
            for other in self.subscriptions[place]:
                other.taken_over = True
            self.subscriptions[place].append(subscription)
            self._accepted_at_s[place] = now_s
            return subscription

    def children(self, shard: Shard) -> list[dict[str, Any]]:
        """The shards that follow one, as its last event names them."""
        stream = next(shards for shards in self._streams.values() if shard in shards)
        return [
            {
                "ShardId": child.id,
                "ParentShards": list(child.parents),
                "HashKeyRange": {"StartingHashKey": str(child.low), "EndingHashKey": str(child.high)},
            }
            for child in stream
            if shard.id in child.parents
        ]

    def _begin(self, shard: Shard, position: dict[str, Any]) -> int:
        kind = position["Type"]
        if kind == "LATEST":
            return shard.trimmed + len(shard.records)
        number, time_s = int(position.get("SequenceNumber", 0)), float(position.get("Timestamp", 0))
        before: dict[str, Callable[[dict[str, Any]], bool]] = {
            "TRIM_HORIZON": lambda _: False,
            "AT_SEQUENCE_NUMBER": lambda record: int(record["SequenceNumber"]) < number,
            "AFTER_SEQUENCE_NUMBER": lambda record: int(record["SequenceNumber"]) <= number,
            "AT_TIMESTAMP": lambda record: record["ApproximateArrivalTimestamp"].timestamp() < time_s,
        }
        return shard.trimmed + sum(map(before[kind], shard.records))

    def _description(self, consumer: Consumer) -> dict[str, Any]:
        status = "ACTIVE" if consumer.active_at_s <= self.now_s() else "CREATING"
        return {
            "ConsumerName": consumer.name,
            "ConsumerARN": consumer.arn,
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": 1_600_000_000,
        }
