"""Why an alert was raised: reason codes and the same in words, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fraud.feature_text import describe_value, usual_of
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.document import ListKind
from fraud.policy.judgement import APPROVE, DECLINE, REVIEW, Findings, Floats, Judgement
from fraud.rules.text import format_number
from fraud.scorer import Contribution, Scorer

MODEL_REASONS = 3
"""Most features that are named as reasons of the model."""

MODEL_REASON_CODE = "MODEL_SCORE"
LIST_REASON_CODES = {ListKind.BLOCK: "BLOCK_LIST", ListKind.WATCH: "WATCH_LIST"}


class Reason(NamedTuple):
    """One reason."""

    code: str
    text: str


def explain_alerts(
    batch: pa.RecordBatch,
    judgement: Judgement,
    findings: Findings,
    score: Floats,
    scorer: Scorer,
    policy: CompiledPolicy,
) -> tuple[pa.Array, pa.Array]:
    """Reason codes and texts of each row (two list columns); empty for rows that are approved.

    The scorer is asked to explain only the rows in which the score itself asks for something.
    """
    reasons: list[list[Reason]] = [[] for _ in range(batch.num_rows)]
    alerts = np.flatnonzero(judgement.outcome > APPROVE)
    if alerts.size:
        values = _values(batch, alerts, policy)
        by_model = alerts[judgement.model[alerts] > APPROVE]
        shares = (
            dict(zip(by_model.tolist(), scorer.explain(batch.take(pa.array(by_model))), strict=True))
            if by_model.size
            else {}
        )
        for row, value in zip(alerts.tolist(), values, strict=True):
            reasons[row] = [
                *_list_reasons(policy, findings, row, value),
                *_rule_reasons(policy, judgement, row, value),
                *_model_reasons(batch, policy, findings, judgement, score, row, shares.get(row, [])),
            ]
    return (
        pa.array([[reason.code for reason in row] for row in reasons], pa.list_(pa.string())),
        pa.array([[reason.text for reason in row] for row in reasons], pa.list_(pa.string())),
    )


def _values(batch: pa.RecordBatch, rows: Any, policy: CompiledPolicy) -> list[Mapping[str, Any]]:
    needed = {name for rule in policy.rules for name in rule.text.fields} | {e.field for e in policy.lists}
    return batch.select(sorted(needed)).take(pa.array(rows)).to_pylist() if needed else [{} for _ in rows]


def _list_reasons(policy: CompiledPolicy, findings: Findings, row: int, values: Mapping[str, Any]) -> Iterator[Reason]:
    for i in np.flatnonzero(findings.listed[:, row]).tolist():
        entities = policy.lists[i]
        if code := LIST_REASON_CODES.get(entities.kind):
            what = entities.of.replace("_", " ")
            yield Reason(code, f"{what} {values[entities.field]} is on the list {entities.name}")


def _rule_reasons(
    policy: CompiledPolicy, judgement: Judgement, row: int, values: Mapping[str, Any]
) -> Iterator[Reason]:
    for i in np.flatnonzero(judgement.effective[:, row]).tolist():
        rule = policy.rules[i]
        yield Reason(rule.rule.reason, rule.text.fill(values))


def _model_reasons(
    batch: pa.RecordBatch,
    policy: CompiledPolicy,
    findings: Findings,
    judgement: Judgement,
    score: Floats,
    row: int,
    shares: list[Contribution],
) -> Iterator[Reason]:
    asked = judgement.model[row]
    if asked < REVIEW:
        return
    limits = policy.decline_at if asked == DECLINE else policy.review_at
    limit = limits[findings.segment[row]]
    yield Reason(MODEL_REASON_CODE, f"the model's score is {score[row]:.3f}, the limit {format_number(limit)}")
    for share in [share for share in shares if share.log_odds > 0][:MODEL_REASONS]:
        usual = _value(batch, usual_of(share.feature), row)
        yield Reason(share.feature.upper(), describe_value(share.feature, share.value, policy.base_currency, usual))


def _value(batch: pa.RecordBatch, name: str | None, row: int) -> float | None:
    """A feature's value in a row; None where the batch does not have it."""
    place = -1 if name is None else batch.schema.get_field_index(name)
    return None if place < 0 else batch.column(place)[row].as_py()
