"""Whatever happens when: an open breaker asks nothing before its pause is over, and then once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.model.circuit_breaker import CircuitBreaker, CircuitState

PAUSE_S = 10.0
STEPS = st.lists(st.tuples(st.floats(0.0, 15.0), st.booleans()), max_size=60)


@given(STEPS, st.integers(1, 5))
def test_it_asks_as_its_history_of_answers_says(steps: list[tuple[float, bool]], limit: int) -> None:
    now = 0.0
    breaker = CircuitBreaker(limit, PAUSE_S, lambda: now)
    answers: list[tuple[float, bool]] = []  # when the service was asked, and how it went
    for waited_s, works in steps:
        now += waited_s
        failed_last = 0
        while failed_last < len(answers) and not answers[-1 - failed_last][1]:
            failed_last += 1
        should_ask = failed_last < limit or now - answers[-1][0] >= PAUSE_S
        assert breaker.allows() == should_ask
        if not should_ask:
            assert breaker.state is CircuitState.OPEN
            continue
        if failed_last >= limit:
            assert not breaker.allows()  # one attempt at a time
        answers.append((now, works))
        (breaker.succeeded if works else breaker.failed)()
        assert works == (breaker.state is CircuitState.CLOSED) or failed_last + 1 < limit
