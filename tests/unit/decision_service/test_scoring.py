"""Scoring beside the loop: order, what is scored together, and what has waited too long."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from adapters.program.runtime import Runtime
from decision_service.scoring import Scoring, Waiting
from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Scores
from fraud.records import Row


class Clock(Runtime):
    """Of a time that a test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Remote:
    """Scores by number; its first call lasts until it is released."""

    def __init__(self) -> None:
        self.called, self.released = threading.Event(), threading.Event()
        self.calls: list[int] = []

    def score_rows(self, rows: Sequence[Row]) -> list[Scores]:
        self.calls.append(len(rows))
        self.called.set()
        assert self.released.wait(60)
        return [Scores(float(row["number"]), ScoredBy.ENDPOINT, "m") for row in rows]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 3.0, 7.0]), st.booleans()), max_size=12))
def test_scores_come_in_order_and_what_waited_too_long_has_none(drawn: list[tuple[float, bool]]) -> None:
    clock, remote, given_back = Clock(), Remote(), list[tuple[int, Scores]]()
    scoring = Scoring(lambda: remote, 5.0, clock)

    def put(number: int, in_time: bool) -> None:
        row = Row(number=number)
        scoring.put(Waiting(row, in_time, lambda scores: given_back.append((number, scores))))

    put(-1, True)
    assert remote.called.wait(60)
    came_at = []
    for number, (pause_s, in_time) in enumerate(drawn):
        clock.now += pause_s
        came_at.append(clock.now)
        put(number, in_time)
    remote.released.set()
    scoring.close()
    wanted = [in_time and clock.now - at <= 5.0 for at, (_, in_time) in zip(came_at, drawn, strict=True)]
    assert [number for number, _ in given_back] == list(range(-1, len(drawn)))
    assert [scores.scored_by is ScoredBy.ENDPOINT for _, scores in given_back[1:]] == wanted
    assert [scores.score for number, scores in given_back if scores.score is not None] == [
        -1.0,
        *(float(number) for number, scored in enumerate(wanted) if scored),
    ]
    assert remote.calls == [1, *([sum(wanted)] if any(wanted) else [])]
