"""The breaker stops asking after failures in a row, and one attempt after the pause decides."""

from __future__ import annotations

from adapters.model.circuit_breaker import CircuitBreaker, CircuitState


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=2, pause_s=10.0, clock=clock)
    breaker.failed()
    breaker.failed()
    return breaker


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breaker = CircuitBreaker(failures=2, pause_s=10.0, clock=Clock())
    for _ in range(3):
        breaker.failed()
        assert breaker.allows()
        breaker.succeeded()
    assert breaker.state is CircuitState.CLOSED


def test_it_stays_open_until_the_pause_is_over() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 9.9
    assert not breaker.allows()
    clock.now = 10.0
    assert breaker.allows()


def test_only_one_attempt_is_let_through_while_half_open() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 10.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert breaker.state is CircuitState.HALF_OPEN


def test_a_failed_attempt_opens_it_for_another_whole_pause() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 10.0
    assert breaker.allows()
    breaker.failed()
    clock.now = 19.9
    assert not breaker.allows()
    clock.now = 20.0
    assert breaker.allows()


def test_a_successful_attempt_closes_it_and_forgets_the_failures() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 10.0
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allows()
