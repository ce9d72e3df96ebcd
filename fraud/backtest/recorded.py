"""Scorers without contributions: one that repeats the scores of the archive, one that leaves its own unexplained."""

from __future__ import annotations

import pyarrow as pa

from fraud.decision.record import ScoredBy
from fraud.decision.scorer import Contribution, Scorer, Scores, rows_of
from fraud.records import Row


class RecordedScorer:
    """Gives each decision the score that was recorded with it. It cannot explain: contributions are not archived."""

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """The column `score`; the version is that of the first row, since a batch has one."""
        assert isinstance(features, pa.RecordBatch), "the archive is read as columns"
        version = features["model_version"][0].as_py() if features.num_rows else None
        scored = ScoredBy(features["scored_by"][0].as_py()) if features.num_rows else ScoredBy.RULES_ONLY
        return Scores(features["score"], scored, version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """No contributions."""
        return [[] for _ in range(rows_of(features))]


class Unexplained:
    """Gives the scores of another scorer. Contributions cost much and a backtest shows none.

    Args:
        scorer: to ask.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """What the other scorer gives."""
        return self._scorer.score(features)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """No contributions."""
        return [[] for _ in range(rows_of(features))]
