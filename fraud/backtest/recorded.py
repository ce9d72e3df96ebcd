"""A scorer that repeats the scores of the archive."""

from __future__ import annotations

import pyarrow as pa

from fraud.decision import ScoredBy
from fraud.scorer import Contribution, Scores


class RecordedScorer:
    """Gives each decision the score that was recorded with it. It cannot explain: contributions are not archived."""

    def score(self, features: pa.RecordBatch) -> Scores:
        """The column `score`; the version is that of the first row, since a batch has one."""
        version = features["model_version"][0].as_py() if features.num_rows else None
        scored = ScoredBy(features["scored_by"][0].as_py()) if features.num_rows else ScoredBy.RULES_ONLY
        return Scores(features["score"], scored, version)

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        """No contributions."""
        return [[] for _ in range(features.num_rows)]
