"""The decision on one transaction: its outcome, what led to it, and the record that is stored."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
import pyarrow as pa

from fraud.records.arrival import ARRIVAL_FIELDS, RAW_FIELD
from fraud.records.schema import TIMESTAMP_MS, arrow_schema
from fraud.records.transaction import TRANSACTION_SCHEMA


class Outcome(enum.IntEnum):
    """What to do about the card, in order of severity; outcomes combine with `max` and have no default.

    Where the job decides, a second after the payment, `DECLINE` recommends blocking the card's next transactions; where
    the decision service does, it answers this one.

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


OutcomeLabel = Literal["approve", "review", "decline"]
ScorerName = Literal["endpoint", "in_process", "rules_only"]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the decision core adds to a transaction and its features.

    Attributes:
        outcome: the label of an `Outcome`.
        score: calibrated probability of fraud; null when scored by rules only.
        scored_by: a value of `ScoredBy`.
        model_version: of the model that scored.
        policy_version: of the policy with its lists.
        rules: ids of the live rules that fired.
        reason_codes: most important first.
        reasons: the same, in words with values.
        severity: 0 to 100, orders the queue of alerts; 0 when approved.
        segment: whose thresholds applied.
        lists: names of the live lists that an entity is on.
        lists_outcome: what the lists contributed.
        rules_outcome: what the rules contributed.
        model_outcome: what the model contributed.
        silenced_rules: fired, but silenced by an allow-list.
        undefined_rules: whose condition was null: they did not fire.
        shadow_rules: what in shadow had something to say, without effect: rules that fired; `list:NAME` of lists that
            an entity is on; `thresholds:OUTCOME` where the score would have asked for another outcome, for that one.
        shadow_outcome: the outcome if rules, lists and thresholds in shadow were live.
        challenger_score: of the challenger model, without effect; null without one.
        challenger_version: of that model.
        challenger_outcome: the outcome if the challenger scored.
    """

    outcome: OutcomeLabel
    score: Probability | None = None
    scored_by: ScorerName
    model_version: str | None = None
    policy_version: str
    rules: list[str] = []
    reason_codes: list[str] = []
    reasons: list[str] = []
    severity: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    segment: str
    lists: list[str] = []
    lists_outcome: OutcomeLabel
    rules_outcome: OutcomeLabel
    model_outcome: OutcomeLabel
    silenced_rules: list[str] = []
    undefined_rules: list[str] = []
    shadow_rules: list[str] = []
    shadow_outcome: OutcomeLabel
    challenger_score: Probability | None = None
    challenger_version: str | None = None
    challenger_outcome: OutcomeLabel | None = None


VERDICT_FIELDS = tuple(arrow_schema(Verdict))
"""A verdict as columns."""

COMMIT_FIELDS = (
    pa.field("batch_id", pa.int64(), nullable=False),
    pa.field("decided_at", TIMESTAMP_MS, nullable=False),
)
"""What the job adds when it stores a decision; of one that was answered in the call, `decided_at` is as answered."""

ANSWER_FIELDS = (
    pa.field("answered_by", pa.string()),  # the instance of the decision service that did; null where the job decided
    pa.field("received_at", TIMESTAMP_MS),  # when it had received the transaction
)
"""What the job stores of a decision that was answered in the call, beside the verdict."""


def decision_schema(features: Iterable[pa.Field]) -> pa.Schema:
    """The stored decision: arrival, transaction, features, verdict, commit, answer, raw bytes, one flat column each.

    Feature columns carry their catalogue names, so that rules, training and backtest read the archive as it is.
    """
    return pa.schema(
        [
            *ARRIVAL_FIELDS,
            *TRANSACTION_SCHEMA,
            *features,
            *VERDICT_FIELDS,
            *COMMIT_FIELDS,
            *ANSWER_FIELDS,
            RAW_FIELD,
        ]
    )
