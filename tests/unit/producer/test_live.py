"""A run that follows the clock sends each transaction when it arrives, whatever its event time says."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace

import pyarrow as pa

from fraud.records.arrival import recorded_arrivals_ms
from producer.data_generator import Generated
from producer.destinations import Nowhere
from producer.kinesis_producer import KinesisProducer
from producer.pacing import Pacer
from producer.source import open_source
from tests.property.test_generator import CONFIG

START = dt.date(2026, 1, 15)
NOON_MS = 1_768_478_400_000


class Kept(Nowhere):
    """Keeps what it takes, with the time that the run had waited until then."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock = clock
        self.parts: list[tuple[float, Generated]] = []

    def write(self, part: Generated) -> None:
        self.parts.append((self.clock[0], part))


def test_each_is_sent_when_it_arrives_and_carries_no_recorded_arrival() -> None:
    asked = replace(CONFIG, live=True, cards=3_000, start_date=START, days=1)
    clock = [0.0]

    def wait(seconds: float) -> None:
        clock[0] += seconds

    kept = Kept(clock)
    pacer = Pacer(None, 1.0, NOON_MS, wait, lambda: clock[0])
    KinesisProducer(kept, pacer, None, threading.Event(), lambda _: None, live=True).run(
        open_source(asked, "EUR", NOON_MS)
    )
    parts = list(open_source(asked, "EUR", NOON_MS))
    arrived = [int(recorded_arrivals_ms(part.transactions, "event_time")[-1]) for part in parts]
    assert [round(NOON_MS + 1000 * at) for at, _ in kept.parts] == arrived
    sent = pa.Table.from_batches([part.transactions for _, part in kept.parts])
    assert sent["recorded_arrival"].null_count == len(sent) > 1_000
    sent_ms = sent["event_time"].cast(pa.int64()).to_numpy()
    at_ms = recorded_arrivals_ms(pa.Table.from_batches([part.transactions for part in parts]), "event_time")
    assert (at_ms >= NOON_MS).all()
    assert (sent_ms < NOON_MS).any()  # late ones, which are sent all the same
    assert (sent_ms > at_ms).any()  # ahead, which hold up nothing
