"""The port through which the decision core asks for scores."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from fraud.decision.record import ScoredBy
from fraud.records import Row


class Scores(NamedTuple):
    """Scores of a batch, or of a single row.

    Attributes:
        score: calibrated probability of fraud for each row (float64); all null when scored by rules only. Of a single
            row the number itself, or None.
        scored_by: what produced them.
        model_version: version of the model that did; None when scored by rules only.
    """

    score: Any
    scored_by: ScoredBy
    model_version: str | None


def rows_of(features: pa.RecordBatch | Row) -> int:
    """How many rows a scorer was given."""
    return 1 if isinstance(features, Row) else features.num_rows


def require_probabilities(score: pa.Array, rows: int) -> None:
    """Checks the scores that a model gave as records are checked.

    Args:
        score: of each row.
        rows: how many there must be.

    Raises:
        ValueError: they are not one probability (float64) for each row.

    >>> require_probabilities(pa.array([0.25, 7.0]), 2)
    Traceback (most recent call last):
    ValueError: a score of 7.0 is no probability
    """
    if score.type != pa.float64() or len(score) != rows or score.null_count:
        raise ValueError(f"{len(score)} scores ({score.type}, {score.null_count} null) for {rows} rows")
    values = score.to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))
    if bad.size:
        raise ValueError(f"a score of {values[bad[0]]} is no probability")


class Contribution(NamedTuple):
    """How one feature moved one score.

    Attributes:
        feature: its catalogue name.
        value: its value; None where it was null.
        log_odds: its exact additive share of the raw score, in log-odds.
    """

    feature: str
    value: float | None
    log_odds: float


class Scorer(Protocol):
    """Scores feature rows. Implementations: in process, SageMaker endpoint with fallback, none (rules only)."""

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """Scores a batch, or a single row, whose columns hold at least the model's features; nulls are allowed.

        Never raises for a remote failure: it falls back, down to rules only, and says so.
        """

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """For each row the contributions that are not 0, up or down, what moved the score most first.

        Empty lists where no model is at hand. It takes far longer than a score: alerts only.
        """


class VersionedScorer(Scorer, Protocol):
    """A scorer of one model, whose version a batch is pinned to."""

    @property
    def model_version(self) -> str | None:
        """Version of the model; None where there is none."""


class Scored:
    """Scores of a row that are known already.

    Args:
        scores: of the row.
        model: explains.
    """

    def __init__(self, scores: Scores, model: Scorer) -> None:
        self._scores, self._model = scores, model

    def score(self, features: pa.RecordBatch | Row) -> Scores:  # noqa: ARG002 - as all scorers
        """Those."""
        return self._scores

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """By the model; nothing to explain where it did not score."""
        by = RulesOnly() if self._scores.score is None else self._model
        return by.explain(features)


class RulesOnly:
    """The last resort: no model, so that lists and rules decide alone."""

    @property
    def model_version(self) -> str | None:
        """None."""
        return None

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """All null."""
        nothing = None if isinstance(features, Row) else pa.nulls(features.num_rows, pa.float64())
        return Scores(nothing, ScoredBy.RULES_ONLY, None)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """Nothing to explain."""
        return [[] for _ in range(rows_of(features))]
