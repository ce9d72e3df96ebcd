"""Batches, scorers and policies for tests of the decision core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.record import ScoredBy
from fraud.decision.rules.fields import Field, Fields, Kind, fields_of
from fraud.decision.scorer import Contribution, Scores, rows_of
from fraud.records import Row
from fraud.records.transaction import TRANSACTION_SCHEMA
from tests.support.records import transaction

FEATURES = tuple(pa.field(name, pa.float64()) for name in ("count_10m", "mean_30d", "seconds_since_last"))
"""A small catalogue of its own, so that these tests do not move with the real one."""

FIELDS = fields_of([]) | {feature.name: Field(feature.name, Kind.NUMBER) for feature in FEATURES}
SCHEMA = pa.schema([*TRANSACTION_SCHEMA, *FEATURES])


def featured(*rows: Mapping[str, Any]) -> pa.RecordBatch:
    """A batch of transactions with features; each row states what matters."""
    plain = dict.fromkeys(SCHEMA.names)
    return pa.RecordBatch.from_pylist([plain | transaction() | dict(row) for row in rows], schema=SCHEMA)


def policy(
    files: Mapping[str, str] | None = None, base_currency: str = "EUR", fields: Fields = FIELDS, **document: Any
) -> CompiledPolicy:
    """A compiled policy from the keys of its document; without thresholds the model asks for nothing."""
    root = yaml.safe_dump({"thresholds": {}} | document)
    return compile_policy(PolicyBundle({ROOT: root} | dict(files or {})), fields, base_currency)


def rule(identifier: str, when: str, **fields: Any) -> dict[str, Any]:
    """A live rule that asks for review; `fields` replace defaults."""
    return {
        "id": identifier,
        "description": identifier,
        "when": when,
        "outcome": "review",
        "reason": identifier.upper().replace("-", "_"),
        "text": identifier,
    } | fields


class FixedScorer:
    """Gives the scores it was made with; explains each row by one contribution."""

    def __init__(self, scores: Sequence[float | None], version: str = "m1") -> None:
        self._scores = list(scores)
        self._version = version
        self.explained: list[int] = []

    def score(self, features: pa.RecordBatch | Row) -> Scores:
        """The fixed scores."""
        scores = pa.array(self._scores, pa.float64())
        return Scores(scores[0].as_py() if isinstance(features, Row) else scores, ScoredBy.IN_PROCESS, self._version)

    def explain(self, features: pa.RecordBatch | Row) -> list[list[Contribution]]:
        """One contribution a row; counts the rows in `explained`."""
        self.explained.append(rows_of(features))
        return [[Contribution("count_10m", 6.0, 1.5)] for _ in range(rows_of(features))]


def finite(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores as the policy takes them: NaN for none."""
    return np.array([np.nan if value is None else value for value in values])
