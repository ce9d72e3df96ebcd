"""Why an alert was raised: reason codes and the same in words, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
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
        raised = _raised(batch, by_model, scorer, policy.base_currency) if by_model.size else {}
        for row, value in zip(alerts.tolist(), values, strict=True):
            reasons[row] = [
                *_list_reasons(policy, findings, row, value),
                *_rule_reasons(policy, judgement, row, value),
                *_model_reasons(policy, findings, judgement, score, row),
                *raised.get(row, []),
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
    policy: CompiledPolicy, findings: Findings, judgement: Judgement, score: Floats, row: int
) -> Iterator[Reason]:
    asked = judgement.model[row]
    if asked < REVIEW:
        return
    limits = policy.decline_at if asked == DECLINE else policy.review_at
    limit = limits[findings.segment[row]]
    yield Reason(MODEL_REASON_CODE, f"the model's score is {score[row]:.3f}, the limit {format_number(limit)}")


def _raised(
    batch: pa.RecordBatch, rows: npt.NDArray[np.intp], scorer: Scorer, base_currency: str
) -> dict[int, list[Reason]]:
    """The features that raised the score of rows most."""

    def reason(share: Contribution, row: int) -> Reason:
        usual = usual_of(share.feature)
        place = -1 if usual is None else batch.schema.get_field_index(usual)
        compared = None if place < 0 else batch.column(place)[row].as_py()
        return Reason(share.feature.upper(), describe_value(share.feature, share.value, base_currency, compared))

    explained = zip(rows.tolist(), scorer.explain(batch.take(pa.array(rows))), strict=True)
    return {
        row: [reason(share, row) for share in [share for share in shares if share.log_odds > 0][:MODEL_REASONS]]
        for row, shares in explained
    }
