"""Attempts again: pauses grow, are drawn at random, and end at the bounds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from adapters.aws.backoff import Backoff


class Clock:
    """Stands still but for pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@given(
    first_s=st.floats(0.001, 1.0),
    longest_s=st.floats(1.0, 10.0),
    attempts=st.integers(1, 12),
    deadline_s=st.floats(0.0, 30.0),
    seed=st.integers(0, 1_000),
)
def test_no_attempt_follows_the_last_one_or_begins_at_the_deadline(
    first_s: float, longest_s: float, attempts: int, deadline_s: float, seed: int
) -> None:
    clock = Clock()
    backoff = Backoff(
        first_s,
        longest_s,
        attempts=attempts,
        deadline_s=deadline_s,
        clock=clock,
        sleep=clock.sleep,
        rng=random.Random(seed),
    )
    while backoff.pause():
        assert clock.now < deadline_s
    assert backoff.retries == len(clock.pauses) < attempts
    for number, pause in enumerate(clock.pauses):
        longest = min(longest_s, first_s * 2**number)
        assert longest / 2 <= pause <= longest


def test_callers_that_fail_together_do_not_come_back_together() -> None:
    clocks = [Clock() for _ in range(20)]
    for seed, clock in enumerate(clocks):
        Backoff(1.0, 8.0, sleep=clock.sleep, rng=random.Random(seed)).pause()
    assert len({clock.now for clock in clocks}) == 20


def test_after_a_success_pauses_begin_again() -> None:
    clock = Clock()
    backoff = Backoff(1.0, 64.0, attempts=4, deadline_s=5.0, clock=clock, sleep=clock.sleep)
    assert [backoff.pause(), backoff.pause()] == [True, True]
    backoff.succeeded(deadline_s=clock.now + 100.0)
    assert backoff.pause()
    assert clock.pauses[-1] <= 1.0
    assert backoff.retries == 3


def test_an_endless_reader_may_fail_for_ever() -> None:
    clock = Clock()
    backoff = Backoff(0.2, 5.0, sleep=clock.sleep)
    assert all(backoff.pause() for _ in range(5_000))
    assert clock.pauses[-1] <= 5.0
