"""The decision core: from transactions with features, a scorer and a policy to verdicts. One function for all callers.

The streaming job, the backtest, training replay and the decision service come through here, so they cannot differ.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision.form import form_of
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.evaluation import REVIEW, Evaluation, Findings
from fraud.decision.reasons import explain_alerts
from fraud.decision.scorer import Scorer
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
    form = form_of(batch)
    count = form.count(batch)
    scores = scorer.score(batch)
    given = form.score(scores)
    score = form.floats(given)
    findings = policy.find(batch)
    evaluation = policy.evaluate(findings, score)
    reasons = explain_alerts(batch, evaluation, findings, score, scorer, policy)
    rule_ids = policy.rule_ids
    columns = {
        "outcome": form.labels(evaluation.outcome),
        "score": given,
        "scored_by": form.repeated(scores.scored_by.value, count),
        "model_version": form.repeated(scores.model_version, count),
        "policy_version": form.repeated(policy.version, count),
        "rules": form.names_where(evaluation.effective, rule_ids),
        "reason_codes": form.texts([[reason.code for reason in row] for row in reasons]),
        "reasons": form.texts([[reason.text for reason in row] for row in reasons]),
        "severity": form.numbers(_severity(evaluation, policy)),
        "segment": form.named(findings.segment, policy.segment_names),
        "lists": form.names_where(findings.listed, policy.list_names),
        "lists_outcome": form.labels(evaluation.lists),
        "rules_outcome": form.labels(evaluation.rules),
        "model_outcome": form.labels(evaluation.model),
        "silenced_rules": form.names_where(evaluation.silenced, rule_ids),
        "undefined_rules": form.names_where(findings.undefined, rule_ids),
        "shadow_rules": form.names_where(findings.fired & ~policy.live[:, None], rule_ids),
        "shadow_outcome": form.labels(evaluation.shadow),
        **_challenge(batch, count, challenger, findings, policy),
    }
    return form.verdicts(columns)


def _challenge(
    batch: pa.RecordBatch | Row, count: int, challenger: Scorer | None, findings: Findings, policy: CompiledPolicy
) -> dict[str, Any]:
    form = form_of(batch)
    if challenger is None:
        return {
            "challenger_score": form.unscored(count),
            "challenger_version": form.repeated(None, count),
            "challenger_outcome": form.repeated(None, count),
        }
    scores = challenger.score(batch)
    given = form.score(scores)
    return {
        "challenger_score": given,
        "challenger_version": form.repeated(scores.model_version, count),
        "challenger_outcome": form.labels(policy.evaluate(findings, form.floats(given)).outcome),
    }


def _severity(evaluation: Evaluation, policy: CompiledPolicy) -> npt.NDArray[np.int64]:
    """The greatest severity of the rules that count; 100 where a list or 50 where the score asks for something."""
    by_rules = (evaluation.effective * policy.severities[:, None]).max(axis=0, initial=0)
    by_model = np.where(evaluation.model >= REVIEW, 50 * evaluation.model.astype(np.int64), 0)
    return np.asarray(np.maximum(np.maximum(by_rules, by_model), np.where(evaluation.lists >= REVIEW, 100, 0)))
