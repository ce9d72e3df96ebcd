from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.aws.backoff import Backoff
from adapters.aws.stream_writer import BYTES_PER_CALL, KinesisWriter, StreamRecord
from embedded.simulation.kinesis import InMemoryKinesis
from fraud.errors import MisconfiguredError, RetryableError
from fraud.settings import Aws
from tests.support.kinesis_server import serve
from tests.support.scripted_kinesis import SHARD, Refusals, ScriptedKinesis

THROTTLED = "ProvisionedThroughputExceededException"
INTERNAL = "InternalFailure"


def records(*keys: str) -> list[StreamRecord]:
    return [StreamRecord(key, f"{key}{place}".encode()) for place, key in enumerate(keys)]


def order_of(kinesis: ScriptedKinesis, key: str) -> list[bytes]:
    return [taken.data for taken in kinesis.taken if taken.key == key]


def writer(kinesis: ScriptedKinesis, waits: list[float] | None = None, give_up_s: float = 60.0) -> KinesisWriter:
    sleep = (lambda _: None) if waits is None else waits.append
    return KinesisWriter(
        "tx", Aws(endpoint_url=kinesis.url), give_up_s=give_up_s, backoff=partial(Backoff, sleep=sleep)
    )


def test_only_refused_records_are_sent_again() -> None:
    with ScriptedKinesis([{1: THROTTLED}, {0: INTERNAL}]) as kinesis:
        out = writer(kinesis)
        out.write(records("a", "b", "c"))
    assert [taken.key for taken in kinesis.taken] == ["a", "c", "b"]
    assert kinesis.calls == [3, 1, 1]
    assert (out.counts.accepted, out.counts.retried, out.counts.throttled) == (3, 2, 1)
    assert out.counts.throttled_by_shard == {SHARD: 1}


@pytest.mark.parametrize("script", [[{0: THROTTLED}], [{0: INTERNAL}, {0: THROTTLED}], [{0: THROTTLED, 1: THROTTLED}]])
def test_a_refused_record_is_never_overtaken_by_a_later_one_of_its_card(script: list[Refusals | str]) -> None:
    with ScriptedKinesis(script) as kinesis:
        writer(kinesis).write(records("a", "b", "a", "a", "b"))
    assert order_of(kinesis, "a") == [b"a0", b"a2", b"a3"]
    assert order_of(kinesis, "b") == [b"b1", b"b4"]


def test_waits_grow_and_are_not_the_same_for_all() -> None:
    waits: list[float] = []
    with ScriptedKinesis([{0: THROTTLED}] * 8) as kinesis:
        writer(kinesis, waits).write(records("a"))
    limits = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert len({wait / limit for wait, limit in zip(waits, limits, strict=True)}) > 1


def test_a_whole_call_that_fails_is_repeated_and_counted() -> None:
    with ScriptedKinesis(["InternalFailure"] * 3) as kinesis:
        out = writer(kinesis)
        out.write(records("a", "b"))
    assert [taken.key for taken in kinesis.taken] == ["a", "b"]
    assert out.counts.retried == 6  # two records, three times


def test_calls_keep_to_the_limits_of_the_service() -> None:
    big = [StreamRecord(f"k{place}", b"x" * (1 << 20)) for place in range(6)]
    with ScriptedKinesis() as kinesis:
        out = writer(kinesis)
        out.write([StreamRecord(f"k{place}", b"x") for place in range(1_201)])
        assert kinesis.calls == [500, 500, 201]
        kinesis.calls.clear()
        out.write(big)
    assert kinesis.calls == [4, 2]  # five of them with their keys are more than 5 MiB
    assert BYTES_PER_CALL < 5 * ((1 << 20) + 2)


def test_calls_are_full_although_cards_come_again() -> None:
    busy = [StreamRecord(f"k{place % 600}", str(place).encode()) for place in range(1_400)]
    with ScriptedKinesis() as kinesis:
        writer(kinesis).write(busy)
    assert kinesis.calls == [500, 500, 400]
    assert order_of(kinesis, "k7") == [b"7", b"607", b"1207"]


@given(st.text("abcdef", max_size=40), st.lists(st.dictionaries(st.integers(0, 5), st.just(THROTTLED)), max_size=8))
@settings(max_examples=30, deadline=None)
def test_order_of_each_key_holds_whatever_is_refused(keys: str, refused: list[Refusals]) -> None:
    sent = records(*keys)
    with ScriptedKinesis(refused) as kinesis:
        writer(kinesis).write(sent)
    assert len(kinesis.taken) == len(sent)
    for key in set(keys):
        assert order_of(kinesis, key) == [record.data for record in sent if record.key == key]


def test_it_gives_up_after_a_while_and_says_why() -> None:
    with ScriptedKinesis([{1: THROTTLED}] + [{0: THROTTLED}] * 100) as kinesis:
        out = writer(kinesis, give_up_s=0.0)
        with pytest.raises(RetryableError, match=f"refused 1 records.*{THROTTLED}"):
            out.write(records("a", "b"))
    assert out.counts.accepted == 1


def test_a_missing_stream_is_said_before_anything_is_written() -> None:
    with (
        serve(InMemoryKinesis()) as url,
        pytest.raises(MisconfiguredError, match=r"stream tx: cannot be written: .*ResourceNotFoundException"),
    ):
        KinesisWriter("tx", Aws(endpoint_url=url))


def test_a_stream_that_vanishes_stops_at_once() -> None:
    with ScriptedKinesis(["ResourceNotFoundException"]) as kinesis:
        out = writer(kinesis)
        with pytest.raises(MisconfiguredError, match="stream tx: cannot be written"):
            out.write(records("a"))
    assert len(kinesis.calls) == 1
