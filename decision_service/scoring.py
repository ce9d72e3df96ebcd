"""Scores from a model elsewhere, beside the event loop: while one call is under way, the next transactions gather."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from adapters.program.runtime import Runtime
from decision_service.gathering import Gathering
from fraud.decision.scorer import RulesOnly, Scores
from fraud.records import Row


class RemoteScorer(Protocol):
    """What scores several transactions in one call."""

    def score_rows(self, rows: Sequence[Row]) -> list[Scores]:
        """Scores of each row, in their order; never raises for a remote failure."""


class Waiting(NamedTuple):
    """A transaction that waits for its score.

    Attributes:
        features: the transaction with its features.
        in_time: whether there is time for the model; lists and rules decide alone otherwise.
        then: is called with its scores, from the thread that has them.
    """

    features: Row
    in_time: bool
    then: Callable[[Scores], None]


class Scoring:
    """Has transactions scored in a thread of its own; they come back in the order in which they were put.

    One call at a time keeps that order, which is that of the journal. So an answer waits for at most two calls.

    Args:
        scorer: gives the scorer that is in force.
        budget_s: what waited longer than this for its turn is not sent: lists and rules decide alone.
        runtime: gives the thread.
    """

    def __init__(self, scorer: Callable[[], RemoteScorer], budget_s: float, runtime: Runtime) -> None:
        self._scorer = scorer
        self._budget_s = budget_s
        self._runtime = runtime
        self._gathering = Gathering[tuple[Waiting, float]](self._score, "scoring", runtime)

    def put(self, waiting: Waiting) -> None:
        """Has a transaction scored after all others."""
        self._gathering.put((waiting, self._runtime.monotonic()))

    def close(self) -> None:
        """Scores what waits and ends."""
        self._gathering.close()

    def _score(self, group: Sequence[tuple[Waiting, float]]) -> None:
        since = self._runtime.monotonic() - self._budget_s
        asked = [waiting.features for waiting, put in group if waiting.in_time and put >= since]
        scores = iter(self._scorer().score_rows(asked) if asked else [])
        for waiting, put in group:
            taken = next(scores) if waiting.in_time and put >= since else RulesOnly().score(waiting.features)
            waiting.then(taken)
