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
    pa.field("severity", pa.int64(), nullable=False),  # 0–100, orders the queue of alerts; 0 when approved
    pa.field("segment", pa.string(), nullable=False),  # whose thresholds applied
    pa.field("lists", pa.list_(pa.string()), nullable=False),  # names of the lists that an entity is on
    pa.field("lists_outcome", pa.string(), nullable=False),  # what lists, rules and model each contributed
    pa.field("rules_outcome", pa.string(), nullable=False),
    pa.field("model_outcome", pa.string(), nullable=False),
    pa.field("silenced_rules", pa.list_(pa.string()), nullable=False),  # fired, but silenced by an allow-list
    pa.field("undefined_rules", pa.list_(pa.string()), nullable=False),  # condition null: did not fire
    pa.field("shadow_rules", pa.list_(pa.string()), nullable=False),  # shadow rules that fired, without effect
    pa.field("shadow_outcome", pa.string(), nullable=False),  # the outcome if shadow rules were live
    pa.field("challenger_score", pa.float64()),  # of the challenger model, without effect; null without one
    pa.field("challenger_version", pa.string()),
    pa.field("challenger_outcome", pa.string()),  # the outcome if the challenger scored
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
