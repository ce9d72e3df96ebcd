"""The decision core: from transactions with features, a scorer and a policy to verdicts. One function for all callers.

The streaming job, the backtest, training replay and any synchronous caller come through here, so they cannot differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision import VERDICT_FIELDS, Outcome
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.judgement import REVIEW, Bools, Findings, Floats, Judgement, Outcomes
from fraud.reasons import explain_alerts
from fraud.scorer import Scorer

VERDICT_SCHEMA = pa.schema(VERDICT_FIELDS)

_OUTCOME_LABELS = pa.array([outcome.label for outcome in Outcome])


def decide(
    batch: pa.RecordBatch, scorer: Scorer, policy: CompiledPolicy, challenger: Scorer | None = None
) -> pa.RecordBatch:
    """Decides a batch.

    Args:
        batch: transactions with their features: the columns of `TRANSACTION_SCHEMA` and of the feature catalogue;
            others are ignored.
        scorer: gives the scores; where it has none, lists and rules decide alone.
        policy: the compiled policy.
        challenger: another scorer that is recorded and has no effect.

    Returns:
        One row of `VERDICT_FIELDS` for each row of `batch`, in its order.
    """
    scores = scorer.score(batch)
    score = _floats(scores.score)
    findings = policy.find(batch)
    judgement = policy.judge(findings, score)
    codes, texts = explain_alerts(batch, judgement, findings, score, scorer, policy)
    rule_ids = pa.array([rule.rule.id for rule in policy.rules], pa.string())
    list_names = pa.array([entities.name for entities in policy.lists], pa.string())
    columns = {
        "outcome": _labels(judgement.outcome),
        "score": scores.score.cast(pa.float64()),
        "scored_by": _repeat(scores.scored_by.value, batch.num_rows),
        "model_version": _repeat(scores.model_version, batch.num_rows),
        "policy_version": _repeat(policy.version, batch.num_rows),
        "rules": names_where(judgement.effective, rule_ids),
        "reason_codes": codes,
        "reasons": texts,
        "severity": pa.array(_severity(judgement, policy)),
        "segment": pa.array(policy.segment_names, pa.string()).take(pa.array(findings.segment)),
        "lists": names_where(findings.listed, list_names),
        "lists_outcome": _labels(judgement.lists),
        "rules_outcome": _labels(judgement.rules),
        "model_outcome": _labels(judgement.model),
        "silenced_rules": names_where(judgement.silenced, rule_ids),
        "undefined_rules": names_where(findings.undefined, rule_ids),
        "shadow_rules": names_where(findings.fired & ~policy.live[:, None], rule_ids),
        "shadow_outcome": _labels(judgement.shadow),
        **_challenge(batch, challenger, findings, policy),
    }
    return pa.RecordBatch.from_arrays([columns[field.name] for field in VERDICT_SCHEMA], schema=VERDICT_SCHEMA)


def names_where(marks: Bools, names: pa.Array) -> pa.Array:
    """For each column of a (names, n) matrix the list of the names that it marks, in their order.

    >>> names_where(np.array([[True, False], [True, True]]), pa.array(["a", "b"])).to_pylist()
    [['a', 'b'], ['b']]
    """
    if not marks.any():
        return pa.ListArray.from_arrays(np.zeros(marks.shape[1] + 1, np.int32), names.slice(0, 0))
    rows, marked = np.nonzero(marks.T)
    counts = np.bincount(rows, minlength=marks.shape[1])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(marked)))


def _challenge(
    batch: pa.RecordBatch, challenger: Scorer | None, findings: Findings, policy: CompiledPolicy
) -> dict[str, pa.Array]:
    if challenger is None:
        return {
            "challenger_score": pa.nulls(batch.num_rows, pa.float64()),
            "challenger_version": pa.nulls(batch.num_rows, pa.string()),
            "challenger_outcome": pa.nulls(batch.num_rows, pa.string()),
        }
    scores = challenger.score(batch)
    return {
        "challenger_score": scores.score.cast(pa.float64()),
        "challenger_version": _repeat(scores.model_version, batch.num_rows),
        "challenger_outcome": _labels(policy.judge(findings, _floats(scores.score)).outcome),
    }


def _severity(judgement: Judgement, policy: CompiledPolicy) -> npt.NDArray[np.int64]:
    """The greatest severity of the rules that count; 100 where a list or 50 where the score asks for something."""
    weights = np.array([rule.rule.severity for rule in policy.rules], np.int64)
    by_rules = (judgement.effective * weights[:, None]).max(axis=0, initial=0)
    by_model = np.where(judgement.model >= REVIEW, 50 * judgement.model.astype(np.int64), 0)
    return np.asarray(np.maximum(np.maximum(by_rules, by_model), np.where(judgement.lists >= REVIEW, 100, 0)))


def _floats(values: pa.Array) -> Floats:
    return np.asarray(pc.fill_null(values.cast(pa.float64()), np.nan))


def _labels(outcomes: Outcomes) -> pa.Array:
    return _OUTCOME_LABELS.take(pa.array(outcomes))


def _repeat(value: str | None, times: int) -> pa.Array:
    return pa.nulls(times, pa.string()) if value is None else pa.repeat(value, times)
