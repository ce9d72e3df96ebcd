"""The decision core: from transactions with features, a scorer and a policy to verdicts. One function for all callers.

The streaming job, the backtest, training replay and the decision service come through here, so they cannot differ.
"""

from __future__ import annotations

from typing import overload

import pyarrow as pa

from fraud.decision import columns
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.evaluation import Findings
from fraud.decision.reasons import explain_alerts
from fraud.decision.scorer import Scorer
from fraud.decision.single import decide_row
from fraud.records import Row


@overload
def decide(batch: Row, scorer: Scorer, policy: CompiledPolicy, challenger: Scorer | None = None) -> Row: ...


@overload
def decide(
    batch: pa.RecordBatch, scorer: Scorer, policy: CompiledPolicy, challenger: Scorer | None = None
) -> pa.RecordBatch: ...


def decide(
    batch: pa.RecordBatch | Row, scorer: Scorer, policy: CompiledPolicy, challenger: Scorer | None = None
) -> pa.RecordBatch | Row:
    """Decides a batch, or a single transaction.

    Args:
        batch: transactions with their features: the columns of `TRANSACTION_SCHEMA` and of the feature catalogue;
            others are ignored. A row stands for a batch of one and takes far less time.
        scorer: gives the scores; where it has none, lists and rules decide alone.
        policy: the compiled policy.
        challenger: another scorer that is recorded and has no effect.

    Returns:
        One row of `VERDICT_FIELDS` for each row of `batch`, in its order, in the form of `batch`.
    """
    if isinstance(batch, Row):
        return decide_row(batch, scorer, policy, challenger)
    count = batch.num_rows
    scores = scorer.score(batch)
    given = scores.score.cast(pa.float64())
    score = columns.floats(given)
    findings = policy.find(batch)
    evaluation = policy.evaluate(findings, score)
    reasons = explain_alerts(batch, evaluation, findings, score, scorer, policy)
    rule_ids = policy.rule_ids
    found = {
        "outcome": columns.labels(evaluation.outcome),
        "score": given,
        "scored_by": columns.repeated(scores.scored_by.value, count),
        "model_version": columns.repeated(scores.model_version, count),
        "policy_version": columns.repeated(policy.version, count),
        "rules": columns.names_where(evaluation.effective, rule_ids),
        "reason_codes": columns.texts([[reason.code for reason in row] for row in reasons]),
        "reasons": columns.texts([[reason.text for reason in row] for row in reasons]),
        "severity": pa.array(policy.severity(evaluation)),
        "segment": columns.named(findings.segment, policy.segment_names),
        "lists": columns.names_where(evaluation.listed, policy.list_names),
        "lists_outcome": columns.labels(evaluation.lists),
        "rules_outcome": columns.labels(evaluation.rules),
        "model_outcome": columns.labels(evaluation.model),
        "silenced_rules": columns.names_where(evaluation.silenced, rule_ids),
        "undefined_rules": columns.names_where(findings.undefined, rule_ids),
        "shadow_rules": columns.names_where(evaluation.tried, policy.tried_names),
        "shadow_outcome": columns.labels(evaluation.shadow),
        **_challenge(batch, challenger, findings, policy),
    }
    return columns.verdicts(found)


def _challenge(
    batch: pa.RecordBatch, challenger: Scorer | None, findings: Findings, policy: CompiledPolicy
) -> dict[str, pa.Array]:
    count = batch.num_rows
    if challenger is None:
        return {
            "challenger_score": pa.nulls(count, pa.float64()),
            "challenger_version": columns.repeated(None, count),
            "challenger_outcome": columns.repeated(None, count),
        }
    scores = challenger.score(batch)
    given = scores.score.cast(pa.float64())
    return {
        "challenger_score": given,
        "challenger_version": columns.repeated(scores.model_version, count),
        "challenger_outcome": columns.labels(policy.evaluate(findings, columns.floats(given)).outcome),
    }
