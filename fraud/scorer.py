"""The port through which the decision core asks for scores."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

from fraud.decision import ScoredBy


class Scores(NamedTuple):
    """Scores of a batch.

    Attributes:
        score: calibrated probability of fraud for each row (float64); all null when scored by rules only.
        scored_by: what produced them.
        model_version: version of the model that did; None when scored by rules only.
    """

    score: pa.Array
    scored_by: ScoredBy
    model_version: str | None


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

    def score(self, features: pa.RecordBatch) -> Scores:
        """Scores a batch whose columns hold at least the model's features; nulls are allowed. Never raises for a
        remote failure: it falls back, down to rules only, and says so.
        """

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        """For each row its contributions, largest first; empty lists where no model is at hand. Costly: alerts only."""


class VersionedScorer(Scorer, Protocol):
    """A scorer of one model, whose version a batch is pinned to."""

    @property
    def model_version(self) -> str | None:
        """Version of the model; None where there is none."""


class RulesOnly:
    """The last resort: no model, so that lists and rules decide alone."""

    @property
    def model_version(self) -> str | None:
        """None."""
        return None

    def score(self, features: pa.RecordBatch) -> Scores:
        """All null."""
        return Scores(pa.nulls(features.num_rows, pa.float64()), ScoredBy.RULES_ONLY, None)

    def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
        """Nothing to explain."""
        return [[] for _ in range(features.num_rows)]
