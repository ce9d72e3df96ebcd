"""Decides a single transaction, without Arrow: one transaction at a time, Arrow's calls would cost more than all else.

The policy's conditions are evaluated by functions of a row (`fraud.decision.rules.terms`). What follows from their
values, from the lists and from what the score asks for is worked out by the policy as for columns, once: most
transactions are alike in this, so it is kept by these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.conditions import as_columns
from fraud.decision.policy.evaluation import APPROVE, Evaluation, Findings, ask_of_one
from fraud.decision.reasons import explain_alerts
from fraud.decision.record import VERDICT_FIELDS, Outcome
from fraud.decision.scorer import Scorer
from fraud.records import Row
from fraud.records.schema import milliseconds_of

MOST_KEPT = 10_000
"""Combinations of conditions' values and lists whose findings a policy keeps; beyond it, it begins with none."""

_LABELS = [outcome.label for outcome in Outcome]
_NOTHING = Row((column.name, None) for column in VERDICT_FIELDS)
_LISTS = ("reason_codes", "reasons", "rules", "lists", "silenced_rules", "undefined_rules", "shadow_rules")


@dataclass
class Standing:
    """What a policy makes of transactions that are alike in all but their score.

    Attributes:
        findings: of one of them.
        limits: least scores for review and for decline.
        tried: the same if thresholds in shadow were live.
        evaluations: of one of them, by what the score asks for, and would ask for.
    """

    findings: Findings
    limits: tuple[float, float]
    tried: tuple[float, float]
    evaluations: dict[tuple[int, int], tuple[Evaluation, Row]] = field(default_factory=dict)


def decide_row(transaction: Row, scorer: Scorer, policy: CompiledPolicy, challenger: Scorer | None = None) -> Row:
    """Decides a transaction; see `fraud.decision.decide.decide`."""
    scores = scorer.score(transaction)
    score: float | None = scores.score
    standing = _standing(transaction, policy)
    evaluation, said = _evaluated(standing, score, policy)
    verdict = Row(said)
    for name in _LISTS:
        verdict[name] = verdict[name].copy()  # what is kept stays as it is, whatever becomes of this verdict
    verdict["score"] = score
    verdict["scored_by"], verdict["model_version"] = scores.scored_by.value, scores.model_version
    if evaluation.outcome[0] > APPROVE:
        given = np.array([np.nan if score is None else score])
        (reasons,) = explain_alerts(transaction, evaluation, standing.findings, given, scorer, policy)
        verdict["reason_codes"] = [reason.code for reason in reasons]
        verdict["reasons"] = [reason.text for reason in reasons]
    if challenger is not None:
        other = challenger.score(transaction)
        challenged: float | None = other.score
        verdict["challenger_score"], verdict["challenger_version"] = challenged, other.model_version
        verdict["challenger_outcome"] = _evaluated(standing, challenged, policy)[1]["outcome"]
    return verdict


def outcome_of(transaction: Row, scorer: Scorer, policy: CompiledPolicy) -> tuple[Outcome, float | None]:
    """What `decide_row` decides, and the score, without the reasons."""
    score: float | None = scorer.score(transaction).score
    evaluation, _ = _evaluated(_standing(transaction, policy), score, policy)
    return Outcome(evaluation.outcome.item()), score


def _standing(transaction: Row, policy: CompiledPolicy) -> Standing:
    values = policy.conditions.of_row(transaction)
    listed = {}
    for place, entities in policy.acting_lists.items():
        if entities.size:
            event_ms = milliseconds_of(transaction["event_time"])
            listed[place] = entities.has(transaction.get(entities.field), event_ms)
    kept: dict[Any, Standing] = policy.kept
    alike = (values, tuple(listed.values()))
    standing = kept.get(alike)
    if standing is None:
        if len(kept) >= MOST_KEPT:
            kept.clear()
        findings = policy.found(*as_columns(values), listed)
        place = findings.segment[0]
        review, decline = policy.tried_at
        standing = Standing(
            findings,
            (float(policy.review_at[place]), float(policy.decline_at[place])),
            (float(review[place]), float(decline[place])),
        )
        kept[alike] = standing
    return standing


def _evaluated(standing: Standing, score: float | None, policy: CompiledPolicy) -> tuple[Evaluation, Row]:
    """The evaluation for a score, and what follows from it for the verdict."""
    asked = ask_of_one(score, *standing.limits), ask_of_one(score, *standing.tried)
    found = standing.evaluations.get(asked)
    if found is None:
        wanted, tried = np.array(asked, np.uint8)[:, None]
        evaluation = policy.combine(standing.findings, wanted, tried)
        found = standing.evaluations[asked] = evaluation, _said(standing.findings, evaluation, policy)
    return found


def _said(findings: Findings, evaluation: Evaluation, policy: CompiledPolicy) -> Row:
    def named(marks: Any, names: list[str]) -> list[str]:
        return [names[place] for place in np.flatnonzero(marks).tolist()]

    rule_ids = policy.rule_ids
    return Row(
        _NOTHING,
        outcome=_LABELS[evaluation.outcome.item()],
        policy_version=policy.version,
        rules=named(evaluation.effective, rule_ids),
        reason_codes=[],
        reasons=[],
        severity=policy.severity(evaluation).item(),
        segment=policy.segment_names[findings.segment.item()],
        lists=named(evaluation.listed, policy.list_names),
        lists_outcome=_LABELS[evaluation.lists.item()],
        rules_outcome=_LABELS[evaluation.rules.item()],
        model_outcome=_LABELS[evaluation.model.item()],
        silenced_rules=named(evaluation.silenced, rule_ids),
        undefined_rules=named(findings.undefined, rule_ids),
        shadow_rules=named(evaluation.tried, policy.tried_names),
        shadow_outcome=_LABELS[evaluation.shadow.item()],
    )
