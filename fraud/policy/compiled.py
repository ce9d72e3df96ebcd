"""The compiled policy: checked against the fields that exist, ready to judge batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.policy.bundle import PolicyBundle
from fraud.policy.document import ListKind, Thresholds
from fraud.policy.judgement import (
    APPROVE,
    DECLINE,
    REVIEW,
    Bools,
    Findings,
    Floats,
    Judgement,
    Outcomes,
    ask_by_rules,
    ask_by_score,
)
from fraud.policy.lists import CompiledList
from fraud.rules.expression import Expression, ListUse
from fraud.rules.fields import Field, Kind
from fraud.rules.rule import Rule, RuleState
from fraud.rules.text import Template

DEFAULT_SEGMENT = "default"
"""Name of the thresholds where no segment applies."""

_NEVER = np.inf

_TRUE, _UNKNOWN = 1, 2
"""Codes of a condition's value; false is 0."""


@dataclass(frozen=True)
class CompiledRule:
    """A rule with its checked condition and text."""

    rule: Rule
    condition: Expression
    text: Template


@dataclass(frozen=True)
class CompiledSegment:
    """Thresholds with the condition under which they apply."""

    name: str
    condition: Expression
    thresholds: Thresholds


@dataclass(frozen=True)
class CompiledPolicy:
    """A policy version that can judge. It holds no state and may be shared, pickled and kept.

    Attributes:
        bundle: the files it was compiled from.
        rules: live and shadow rules, the most important first.
        idle_rules: draft and retired rules: checked, never evaluated.
        segments: in the order in which they are tried.
        thresholds: where no segment applies.
        lists: all lists, the block lists first.
        fields: kinds of the fields that conditions and list look-ups read.
        base_currency: currency of `billing_amount_minor` in texts.
    """

    bundle: PolicyBundle
    rules: Sequence[CompiledRule]
    idle_rules: Sequence[CompiledRule]
    segments: Sequence[CompiledSegment]
    thresholds: Thresholds
    lists: Sequence[CompiledList]
    fields: Sequence[Field]
    base_currency: str

    @property
    def version(self) -> str:
        """Version of the policy: that of its files."""
        return self.bundle.version

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of all columns that judging and explaining a batch read."""
        conditions = {field.name for field in self.fields} | {use.field for use in self._list_uses}
        texts = {name for rule in self.rules for name in rule.text.fields}
        return frozenset(conditions | texts | {entities.field for entities in self.lists} | {"event_time"})

    @cached_property
    def segment_names(self) -> list[str]:
        """Names by the segment index of `Findings`."""
        return [*(segment.name for segment in self.segments), DEFAULT_SEGMENT]

    @cached_property
    def asks_for(self) -> Outcomes:
        """(rules) the outcome each rule asks for."""
        return np.array([rule.rule.asks_for for rule in self.rules], np.uint8)

    @cached_property
    def live(self) -> Bools:
        """(rules) whether each rule is live; the others are in shadow."""
        return np.array([rule.rule.state is RuleState.LIVE for rule in self.rules], np.bool_)

    @cached_property
    def suppressible(self) -> Bools:
        """(rules) whether an allow-list silences each rule."""
        return np.array([rule.rule.suppressible for rule in self.rules], np.bool_)

    @cached_property
    def review_at(self) -> Floats:
        """(segments) least score for review; infinity for never."""
        return self._threshold_array("review")

    @cached_property
    def decline_at(self) -> Floats:
        """(segments) least score for decline; infinity for never."""
        return self._threshold_array("decline")

    def _threshold_array(self, name: str) -> Floats:
        chosen = [*(segment.thresholds for segment in self.segments), self.thresholds]
        values = [getattr(thresholds, name) for thresholds in chosen]
        return np.array([_NEVER if value is None else value for value in values])

    def find(self, batch: pa.RecordBatch | pa.Table) -> Findings:
        """Evaluates rules, lists and segments over a batch that has the policy's fields as columns."""
        event_ms = batch["event_time"].cast(pa.int64()).to_numpy(zero_copy_only=False)
        frame = self._frame(batch, event_ms)
        truth = frame.select(self._truth_columns).to_numpy(order="fortran").T
        truth = truth.reshape(len(self._truth_columns), batch.num_rows)
        fired, undefined = truth == _TRUE, truth == _UNKNOWN
        count = len(self.rules)
        listed = np.zeros((len(self.lists), batch.num_rows), np.bool_)
        for i, entities in enumerate(self.lists):
            if entities.kind is not ListKind.NAMED:
                listed[i] = entities.matches(_flat(batch[entities.field]), event_ms)
        applies = np.vstack([fired[count:], np.ones((1, batch.num_rows), np.bool_)])
        return Findings(fired[:count], undefined[:count], listed, applies.argmax(axis=0))

    def judge(self, findings: Findings, score: Floats) -> Judgement:
        """Combines findings with scores (NaN where there is none).

        A blocked entity declines. Otherwise an allow-list silences the model and the suppressible rules. What
        remains combines by the most severe, so a higher score never softens an outcome.
        """
        blocked = self._listed(findings, ListKind.BLOCK)
        allowed = self.allowed(findings)
        watched = self._listed(findings, ListKind.WATCH)
        live_fired = findings.fired & self.live[:, None]
        silenced = live_fired & (self.suppressible[:, None] & allowed) if allowed.any() else np.zeros_like(live_fired)
        effective = live_fired & ~silenced
        lists = np.where(blocked, DECLINE, np.where(watched, REVIEW, APPROVE))
        rules = ask_by_rules(effective, self.asks_for)
        wanted = ask_by_score(score, self.review_at[findings.segment], self.decline_at[findings.segment])
        model = np.where(allowed, APPROVE, wanted)
        outcome = np.maximum(np.maximum(lists, rules), model)
        return Judgement(
            outcome, lists, rules, model, effective, silenced, self._with_shadow(outcome, findings, allowed)
        )

    def _with_shadow(self, outcome: Outcomes, findings: Findings, allowed: Bools) -> Outcomes:
        """The outcome if shadow rules were live."""
        shadow = ~self.live
        fired = findings.fired[shadow] & ~(self.suppressible[shadow, None] & allowed)
        return np.maximum(outcome, ask_by_rules(fired, self.asks_for[shadow]))

    def allowed(self, findings: Findings) -> Bools:
        """(n) whether an allow-list silences the model and the suppressible rules."""
        return self._listed(findings, ListKind.ALLOW) & ~self._listed(findings, ListKind.BLOCK)

    def _listed(self, findings: Findings, kind: ListKind) -> Bools:
        of_kind = np.array([entities.kind is kind for entities in self.lists], np.bool_)
        return np.asarray(findings.listed[of_kind].any(axis=0))

    def _frame(self, batch: pa.RecordBatch | pa.Table, event_ms: Any) -> pl.DataFrame:
        selected = batch.select([field.name for field in self.fields])
        arrays = [
            _normal(_flat(column), field.kind) for column, field in zip(selected.columns, self.fields, strict=True)
        ]
        by_name = {entities.name: entities for entities in self.lists}
        for use in self._list_uses:
            values = _flat(batch[use.field])
            answers = by_name[use.list_name].matches(values, event_ms)
            arrays.append(pa.array(answers, mask=pc.is_null(values).to_numpy(zero_copy_only=False)))
        names = [*selected.schema.names, *(use.column for use in self._list_uses)]
        return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, names=names))

    @cached_property
    def _list_uses(self) -> list[ListUse]:
        return sorted({use for condition in self._conditions for use in condition.lists})

    @cached_property
    def _truth_columns(self) -> list[pl.Expr]:
        """Each condition as a small integer, so that one matrix takes all of them over to numpy."""
        codes = (condition.polars.cast(pl.Int8).fill_null(_UNKNOWN) for condition in self._conditions)
        return [code.alias(str(number)) for number, code in enumerate(codes)]

    @cached_property
    def _conditions(self) -> list[Expression]:
        return [*(rule.condition for rule in self.rules), *(segment.condition for segment in self.segments)]


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _normal(column: pa.Array, kind: Kind) -> pa.Array:
    """Numbers as Float64 with null for NaN and infinity, which have no place in an order."""
    if kind is not Kind.NUMBER:
        return column
    if not pa.types.is_floating(column.type):
        return column.cast(pa.float64())
    total = pc.sum(column).as_py()
    if total is None or math.isfinite(total):
        return column
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
