"""Subscriptions against a model: wherever connections are cut, every record comes once and in order."""

from __future__ import annotations

from functools import partial

import pytest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.aws.errors import ServiceClient
from adapters.aws.shard_subscription import Caller, ShardSubscription
from processor.kinesis_source.cursor import TRANSIENT
from processor.kinesis_source.fan_out import FanOutCursor, registered_consumer
from processor.kinesis_source.offsets import Position
from tests.support.fan_out_double import FanOutKinesis, Terms
from tests.support.kinesis_server import serve

PLACE = ("s", "shardId-000000000000")
RECORDS = 12

HISTORY = {
    "cuts": st.lists(st.integers(0, 1_500), max_size=6),
    "failing": st.lists(st.sampled_from(["", "InternalFailureException", "ResourceInUseException"]), max_size=4),
    "refused": st.lists(st.sampled_from(["", "LimitExceededException", "ResourceInUseException"]), max_size=4),
    "restarts": st.sets(st.integers(0, RECORDS)),
    "together": st.integers(1, 5),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**HISTORY)
def test_no_cut_of_a_connection_loses_or_repeats_a_record(
    cuts: list[int], failing: list[str], refused: list[str], restarts: set[int], together: int
) -> None:
    _check(cuts, failing, refused, restarts, together)


@pytest.mark.long
@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**HISTORY)
def test_the_same_for_many_histories(
    cuts: list[int], failing: list[str], refused: list[str], restarts: set[int], together: int
) -> None:
    _check(cuts, failing, refused, restarts, together)


@pytest.mark.long
def test_the_same_for_a_cut_at_every_byte() -> None:
    for cut in range(1_200):
        _check([cut], [], [], set(), 3)


def _check(cuts: list[int], failing: list[str], refused: list[str], restarts: set[int], together: int) -> None:
    kinesis = FanOutKinesis(terms=Terms(again_s=0.0, records=together, idle_s=0.01))
    kinesis.create_stream("s")
    client = ServiceClient("kinesis", kinesis)
    consumer = registered_consumer(client, "s", "c")
    for number in range(RECORDS):
        kinesis.put_record("s", "k", str(number).encode())
    kinesis.split_in_half("s", PLACE[1])
    kinesis.cuts.extend(cuts)
    kinesis.push_faults.extend(failing)
    kinesis.subscribe_faults.extend(refused)
    with serve(kinesis) as url:
        caller = Caller(url, "us-east-1", lambda: ReadOnlyCredentials("local", "local", None), None)
        position = Position("earliest")
        subscribe = partial(ShardSubscription, caller)

        def opened() -> FanOutCursor:
            return FanOutCursor(client, subscribe, consumer, PLACE, position, True, again_after_s=0.0)

        reader, came, ended, failures = opened(), list[int](), False, 0
        while not ended:
            try:
                fetched = reader.read()
            except TRANSIENT:
                failures += 1
                assert failures <= len(cuts) + len(failing) + len(refused)
                continue
            came += [int(record.data) for record in fetched.records]
            ended = fetched.ended
            if fetched.records:
                last = fetched.records[-1]
                position = Position(last.sequence_number, False, last.arrival_ms)
                if len(came) in restarts and not ended:  # another process goes on from the stored position
                    reader.close()
                    reader = opened()
        reader.close()
    assert came == list(range(RECORDS))
