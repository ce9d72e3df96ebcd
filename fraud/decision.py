"""The decision on one transaction: its outcome, what led to it, and the record that is stored."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import pyarrow as pa

from fraud.arrival import ARRIVAL_FIELDS, RAW_FIELD
from fraud.schema import TIMESTAMP_MS
from fraud.transaction import TRANSACTION_SCHEMA


class Outcome(enum.IntEnum):
    """What to do about the card, in order of severity; outcomes combine with `max` and have no default.

    This is monitoring beside the authorisation: `DECLINE` recommends blocking the card's next transactions, it does
    not answer this one.

    >>> max(Outcome.REVIEW, Outcome.APPROVE).label
    'review'
    """

    APPROVE = 0
    REVIEW = 1
    DECLINE = 2

    @property
    def label(self) -> str:
        """The stored name: `approve`, `review` or `decline`."""
        return self.name.lower()


class ScoredBy(enum.StrEnum):
    """What produced the score of a decision."""

    ENDPOINT = "endpoint"
    IN_PROCESS = "in_process"  # the same model, loaded by the job: the endpoint was slow or down
    RULES_ONLY = "rules_only"  # no model could be had; the score is null


VERDICT_FIELDS = (
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("score", pa.float64()),  # calibrated probability of fraud; null when scored by rules only
    pa.field("scored_by", pa.string(), nullable=False),
    pa.field("model_version", pa.string()),
    pa.field("policy_version", pa.string(), nullable=False),
    pa.field("rules", pa.list_(pa.string()), nullable=False),  # ids of the live rules that fired
    pa.field("reason_codes", pa.list_(pa.string()), nullable=False),  # most important first
    pa.field("reasons", pa.list_(pa.string()), nullable=False),  # the same, in words with values
)
"""What the decision core adds to a transaction and its features."""

COMMIT_FIELDS = (
    pa.field("batch_id", pa.int64(), nullable=False),
    pa.field("decided_at", TIMESTAMP_MS, nullable=False),
)
"""What the job adds when it stores a decision."""


def decision_schema(features: Iterable[pa.Field]) -> pa.Schema:
    """The stored decision: arrival, transaction, features, verdict, commit, and the raw bytes, one flat column each.

    Feature columns carry their catalogue names, so that rules, training and backtest read the archive as it is.
    """
    return pa.schema(
        [
            *ARRIVAL_FIELDS,
            *TRANSACTION_SCHEMA,
            *features,
            *VERDICT_FIELDS,
            *COMMIT_FIELDS,
            RAW_FIELD,
        ]
    )
