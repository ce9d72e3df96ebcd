from __future__ import annotations

import pytest

from producer.pacing import Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_a_rate_spreads_batches_over_time() -> None:
    clock = Clock()
    pacer = Pacer(rate=50, speed=None, from_ms=None, wait=clock.wait, clock=clock)
    due = []
    for sent in (0, 10, 20):
        pacer.wait_for(sent, 0)
        due.append(clock.now)
    assert due == pytest.approx([100.0, 100.2, 100.4])  # ten at fifty a second


def test_speed_follows_event_time_from_the_first_batch() -> None:
    clock = Clock()
    pacer = Pacer(rate=None, speed=60, from_ms=None, wait=clock.wait, clock=clock)
    pacer.wait_for(0, 1_000_000)
    assert clock.now == 100.0
    pacer.wait_for(1, 1_120_000)
    assert clock.now == pytest.approx(102.0)  # two minutes at sixty times


def test_what_is_late_is_not_waited_for() -> None:
    clock = Clock()
    pacer = Pacer(rate=10, speed=None, from_ms=None, wait=clock.wait, clock=clock)
    clock.now = 200.0
    pacer.wait_for(5, 0)
    assert clock.now == 200.0


def test_without_rate_and_speed_nothing_waits() -> None:
    clock = Clock()
    Pacer(rate=None, speed=None, from_ms=None, wait=clock.wait, clock=clock).wait_for(1_000, 10**12)
    assert clock.now == 100.0
