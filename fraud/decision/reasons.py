"""Why an alert was raised: reason codes and the same in words.

First what lists and rules found; then what moved the model most, for and against, largest first; last how sure it is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision.form import form_of
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ListKind
from fraud.decision.policy.evaluation import APPROVE, DECLINE, REVIEW, Evaluation, Findings, Floats
from fraud.decision.rules.fields import text_of
from fraud.decision.scorer import Contribution, Scorer
from fraud.records import Row
from fraud.wording import format_share

MODEL_REASONS = 4
"""Most features that are named as reasons of the model."""

MODEL_REASON_CODE = "MODEL_SCORE"
AGAINST = "AGAINST_"
"""Prefix of the codes of features that speak against fraud."""

_AGAINST_IT = "against it: "
"""The same in words."""

LIST_REASON_CODES = {ListKind.BLOCK: "BLOCK_LIST", ListKind.WATCH: "WATCH_LIST"}


class ReasonSource(enum.StrEnum):
    """Who gives a reason."""

    LIST = "list"
    RULE = "rule"
    MODEL = "model"


def sources_of(codes: Sequence[str], rules: int) -> list[ReasonSource]:
    """Who gives each reason of a decision: lists before rules, and the model last.

    Args:
        codes: of all its reasons, or the first of them.
        rules: how many rules it names; each gives one.

    >>> [source.value for source in sources_of(["BLOCK_LIST", "CARD_TESTING", "CARD_SPEED_KMH", "MODEL_SCORE"], 1)]
    ['list', 'rule', 'model', 'model']
    """
    lists = sum(1 for _ in takewhile(_OF_LISTS.__contains__, codes))
    of_all = [ReasonSource.LIST] * lists + [ReasonSource.RULE] * rules
    return [*of_all, *[ReasonSource.MODEL] * (len(codes) - len(of_all))][: len(codes)]


_OF_LISTS = frozenset(LIST_REASON_CODES.values())


class Reason(NamedTuple):
    """One reason."""

    code: str
    text: str


def explain_alerts(
    batch: pa.RecordBatch | Row,
    evaluation: Evaluation,
    findings: Findings,
    score: Floats,
    scorer: Scorer,
    policy: CompiledPolicy,
) -> list[list[Reason]]:
    """The reasons of each row; empty for rows that are approved.

    The scorer is asked to explain only the rows in which the score itself asks for something.
    """
    reasons: list[list[Reason]] = [[] for _ in range(len(evaluation.outcome))]
    alerts = np.flatnonzero(evaluation.outcome > APPROVE)
    if alerts.size:
        values = form_of(batch).values(batch, alerts, policy.said, policy.fields)
        by_model = alerts[evaluation.model[alerts] > APPROVE]
        moved = _moved(batch, by_model, scorer, policy) if by_model.size else {}
        for row, value in zip(alerts.tolist(), values, strict=True):
            reasons[row] = [
                *_list_reasons(policy, evaluation, row, value),
                *_rule_reasons(policy, evaluation, row, value),
                *moved.get(row, []),
                *_model_reasons(policy, findings, evaluation, score, row),
            ]
    return reasons


def _list_reasons(
    policy: CompiledPolicy, evaluation: Evaluation, row: int, values: Mapping[str, Any]
) -> Iterator[Reason]:
    for i in np.flatnonzero(evaluation.listed[:, row]).tolist():
        entities = policy.lists[i]
        if code := LIST_REASON_CODES.get(entities.kind):
            what = entities.of.replace("_", " ")
            yield Reason(code, f"{what} {values[entities.field]} is on the list {entities.name}")


def _rule_reasons(
    policy: CompiledPolicy, evaluation: Evaluation, row: int, values: Mapping[str, Any]
) -> Iterator[Reason]:
    for i in np.flatnonzero(evaluation.effective[:, row]).tolist():
        rule = policy.rules[i]
        yield Reason(rule.rule.reason, rule.text.fill(values))


def _model_reasons(
    policy: CompiledPolicy, findings: Findings, evaluation: Evaluation, score: Floats, row: int
) -> Iterator[Reason]:
    asked = evaluation.model[row]
    if asked < REVIEW:
        return
    limits = policy.decline_at if asked == DECLINE else policy.review_at
    limit = limits[findings.segment[row]]
    sure = f"the model takes it for fraud with a probability of {format_share(score[row])}"
    yield Reason(MODEL_REASON_CODE, f"{sure}; the limit is {format_share(limit)}")


def _moved(
    batch: pa.RecordBatch | Row, rows: npt.NDArray[np.intp], scorer: Scorer, policy: CompiledPolicy
) -> dict[int, list[Reason]]:
    """The features that moved the score of rows most, up or down."""
    form = form_of(batch)

    def reason(share: Contribution, row: int) -> Reason:
        said = text_of(share.feature, policy.fields)
        compared = None if said.usual_name is None else form.value(batch, row, said.usual_name)
        text = said.describe(share.value, policy.base_currency, compared)
        code = share.feature.upper()
        return Reason(code, text) if share.log_odds > 0 else Reason(f"{AGAINST}{code}", f"{_AGAINST_IT}{text}")

    def largest(shares: list[Contribution], row: int) -> list[Reason]:
        """The largest, those left out that would say again what a larger one says, as that nothing was spent."""
        said: dict[str, Reason] = {}
        for share in shares:
            given = reason(share, row)
            said.setdefault(given.text.removeprefix(_AGAINST_IT), given)
            if len(said) == MODEL_REASONS:
                break
        return list(said.values())

    explained = zip(rows.tolist(), scorer.explain(form.some(batch, rows)), strict=True)
    return {row: largest(shares, row) for row, shares in explained}
