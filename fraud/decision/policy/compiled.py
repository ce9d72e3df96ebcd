"""The compiled policy: checked against the fields that exist, ready to evaluate batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.conditions import Conditions
from fraud.decision.policy.document import ConfirmedList, ListKind, Thresholds
from fraud.decision.policy.evaluation import (
    APPROVE,
    DECLINE,
    REVIEW,
    Bools,
    Evaluation,
    Findings,
    Floats,
    Outcomes,
    ask_by_rules,
    ask_by_score,
)
from fraud.decision.policy.lists import CompiledList, event_times_ms, flat
from fraud.decision.policy.living import Lists
from fraud.decision.policy.variables import columns_of
from fraud.decision.record import Outcome
from fraud.decision.rules.expression import Expression
from fraud.decision.rules.fields import Fields
from fraud.decision.rules.rule import Rule, RuleState
from fraud.decision.rules.text import Template
from fraud.errors import MisconfiguredError

DEFAULT_SEGMENT = "default"
"""Name of the thresholds where no segment applies."""

EVALUATED = (RuleState.LIVE, RuleState.SHADOW)
"""States of what is looked at with each transaction."""

LIST_IN_SHADOW = "list:"
"""In front of a list's name, where it is recorded beside the rules in shadow; no rule's id has a colon."""

SHADOW_THRESHOLDS = tuple(f"thresholds:{outcome.label}" for outcome in Outcome)
"""What is recorded beside the rules in shadow where the score would have asked for another outcome."""

_NEVER = np.inf


class PolicyError(MisconfiguredError):
    """A policy that is refused; `faults` has one line for each fault, with its place."""

    def __init__(self, faults: list[str]) -> None:
        more = f" (and {len(faults) - 1} more faults: fraud policy check lists them)" if len(faults) > 1 else ""
        super().__init__("policy", faults[0] + more)
        self.faults = faults


def combine_lists(own: Sequence[CompiledList], living: Lists) -> list[CompiledList]:
    """The lists in force, the block lists first: of two of one name, the living one.

    Raises:
        PolicyError: a living list is not of the kind and entity that the policy says.
    """
    by_name, faults = {entities.name: entities for entities in own}, list[str]()
    for name, there in living.by_name.items():
        here = by_name.get(name)
        if here is not None and (here.kind, here.of) != (there.kind, there.of):
            faults.append(
                f"list {name}: the policy has it as a {here.kind} list of {here.of}, the store of lists as a "
                f"{there.kind} list of {there.of}: rename one of them"
            )
            continue
        try:
            by_name[name] = there.compiled
        except ValueError as error:
            faults.append(f"list {name}: {error}")
    if faults:
        raise PolicyError(faults)
    return sorted(by_name.values(), key=lambda entities: (list(ListKind).index(entities.kind), entities.name))


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
    """A policy version that evaluates batches. It holds no state and may be shared, pickled and kept.

    Attributes:
        bundle: the files it was compiled from.
        rules: live and shadow rules, the most important first.
        idle_rules: draft and retired rules: checked, never evaluated.
        segments: in the order in which they are tried.
        thresholds: where no segment applies.
        lists: all lists in force, the block lists first.
        own_lists: those that the files define, with what the files put on them.
        fields: all fields that exist, with their kinds; among them the policy's own variables.
        base_currency: currency of `billing_amount_minor` in texts.
        warnings: what is odd in the files and may still be meant, a line for each.
        confirmed_fraud: lists that labels of fraud put entries on.
        list_states: states of the lists that the files name; others are live.
        shadow_thresholds: those that are tried, by name of the segment.
    """

    bundle: PolicyBundle
    rules: Sequence[CompiledRule]
    idle_rules: Sequence[CompiledRule]
    segments: Sequence[CompiledSegment]
    thresholds: Thresholds
    lists: Sequence[CompiledList]
    own_lists: Sequence[CompiledList]
    fields: Fields
    base_currency: str
    warnings: Sequence[str] = ()
    confirmed_fraud: Sequence[ConfirmedList] = ()
    list_states: Mapping[str, RuleState] = field(default_factory=dict)
    shadow_thresholds: Mapping[str, Thresholds] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Its fields alone: what else it has made of them, it makes again."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def version(self) -> str:
        """Version of the policy: that of its files."""
        return self.bundle.version

    def with_lists(self, lists: Lists) -> CompiledPolicy:
        """The same files with other living lists; takes no longer than the lists that changed.

        Raises:
            PolicyError: a rule asks a list that there is no more, or a list is not what the files say it is.
        """
        asked = {use.list_name for condition in self.conditions.expressions for use in condition.lists}
        combined = combine_lists(self.own_lists, lists)
        if missing := sorted(asked - {entities.name for entities in combined}):
            raise PolicyError([f"list {name}: a rule or segment asks it, and there is none" for name in missing])
        return replace(self, bundle=replace(self.bundle, lists=lists), lists=combined)

    @cached_property
    def conditions(self) -> Conditions:
        """The conditions of all rules, then of all segments."""
        parts = [*(rule.condition for rule in self.rules), *(segment.condition for segment in self.segments)]
        return Conditions(parts, self.fields, self.lists)

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of all columns that evaluating and explaining a batch read."""
        return frozenset({"event_time", *self.conditions.columns, *columns_of(self.said, self.fields)})

    @cached_property
    def said(self) -> list[str]:
        """Names of the fields whose values reasons of rules and lists give, in order."""
        looked_up = {entities.field for entities in self.acting_lists.values()}
        return sorted({name for rule in self.rules for name in rule.text.fields} | looked_up)

    @cached_property
    def segment_names(self) -> list[str]:
        """Names by the segment index of `Findings`."""
        return [*(segment.name for segment in self.segments), DEFAULT_SEGMENT]

    @cached_property
    def rule_ids(self) -> list[str]:
        """Ids of the rules, in order."""
        return [rule.rule.id for rule in self.rules]

    @cached_property
    def list_names(self) -> list[str]:
        """Names of the lists, in order."""
        return [entities.name for entities in self.lists]

    @cached_property
    def severities(self) -> npt.NDArray[np.int64]:
        """(rules) the severity of each rule."""
        return np.array([rule.rule.severity for rule in self.rules], np.int64)

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
        return _least("review", self._standing)

    @cached_property
    def decline_at(self) -> Floats:
        """(segments) least score for decline; infinity for never."""
        return _least("decline", self._standing)

    @property
    def _standing(self) -> list[Thresholds]:
        return [*(segment.thresholds for segment in self.segments), self.thresholds]

    @cached_property
    def tried_at(self) -> tuple[Floats, Floats]:
        """(segments) least scores for review and for decline if thresholds in shadow were live."""
        tried = [
            self.shadow_thresholds.get(name, standing)
            for name, standing in zip(self.segment_names, self._standing, strict=True)
        ]
        return _least("review", tried), _least("decline", tried)

    @cached_property
    def acting_lists(self) -> dict[int, CompiledList]:
        """The lists that act by themselves, or would if they were live, by their place among all; others are only
        asked by conditions.
        """
        acting = ((place, entities) for place, entities in enumerate(self.lists))
        return {
            place: entities
            for place, entities in acting
            if entities.kind is not ListKind.NAMED and self.state_of_list(entities.name) in EVALUATED
        }

    def state_of_list(self, name: str) -> RuleState:
        """The state of a list; live where the files do not say another."""
        return self.list_states.get(name, RuleState.LIVE)

    @cached_property
    def lists_in_shadow(self) -> Bools:
        """(lists) whether each list is in shadow."""
        return np.array([self.state_of_list(name) is RuleState.SHADOW for name in self.list_names], np.bool_)

    @cached_property
    def tried_names(self) -> list[str]:
        """Names by the rows of `Evaluation.tried`."""
        return [
            *(rule.rule.id for rule in self.rules if rule.rule.state is RuleState.SHADOW),
            *(LIST_IN_SHADOW + name for name in np.array(self.list_names, object)[self.lists_in_shadow]),
            *(SHADOW_THRESHOLDS if self.shadow_thresholds else ()),
        ]

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What the decision of single transactions keeps of this policy, see `fraud.decision.single`."""
        return {}

    def find(self, batch: pa.RecordBatch | pa.Table) -> Findings:
        """Evaluates rules, lists and segments over a batch that has `columns`."""
        return self.findings(batch, *self.conditions.evaluate(batch))

    def findings(self, batch: pa.RecordBatch | pa.Table, true: Bools, null: Bools) -> Findings:
        """The findings where the conditions' values are known already, (conditions, n) each."""
        event_ms = event_times_ms(batch)
        listed = {place: one.matches(flat(batch[one.field]), event_ms) for place, one in self.acting_lists.items()}
        return self.found(true, null, listed)

    def found(self, true: Bools, null: Bools, listed: Mapping[int, Any]) -> Findings:
        """The findings of n transactions.

        Args:
            true: where each condition is true (conditions, n).
            null: where it is null.
            listed: for each of `acting_lists` which transactions have their entity on it (n).
        """
        matrix = np.zeros((len(self.lists), true.shape[1]), np.bool_)
        for place, found in listed.items():
            matrix[place] = found
        count = len(self.rules)
        applies = np.vstack([true[count:], np.ones((1, true.shape[1]), np.bool_)])
        return Findings(true[:count], null[:count], matrix, applies.argmax(axis=0))

    def evaluate(self, findings: Findings, score: Floats) -> Evaluation:
        """Combines findings with scores (NaN where there is none)."""
        wanted = ask_by_score(score, self.review_at[findings.segment], self.decline_at[findings.segment])
        if not self.shadow_thresholds:
            return self.combine(findings, wanted, wanted)
        review_at, decline_at = self.tried_at
        return self.combine(
            findings, wanted, ask_by_score(score, review_at[findings.segment], decline_at[findings.segment])
        )

    def combine(self, findings: Findings, wanted: Outcomes, tried: Outcomes) -> Evaluation:
        """Combines findings with what the scores ask for.

        A blocked entity declines. Otherwise an allow-list silences the model and the suppressible rules. What
        remains combines by the most severe, so a higher score never softens an outcome.

        Args:
            findings: of n transactions.
            wanted: (n) what the scores ask for.
            tried: (n) what they would ask for if the thresholds in shadow were live.
        """
        in_force = findings.listed & ~self.lists_in_shadow[:, None]
        live_fired = findings.fired & self.live[:, None]
        allowed = self._allowed(in_force)
        silenced = live_fired & (self.suppressible[:, None] & allowed) if allowed.any() else np.zeros_like(live_fired)
        effective = live_fired & ~silenced
        lists, rules = self._ask_by_lists(in_force), ask_by_rules(effective, self.asks_for)
        model = np.where(allowed, APPROVE, wanted)
        return Evaluation(
            outcome=np.maximum(np.maximum(lists, rules), model),
            lists=lists,
            rules=rules,
            model=model,
            effective=effective,
            silenced=silenced,
            listed=in_force,
            shadow=self._with_shadow(findings, tried),
            tried=self._tried(findings, model, np.where(allowed, APPROVE, tried)),
        )

    def severity(self, evaluation: Evaluation) -> npt.NDArray[np.int64]:
        """The greatest severity of the rules that count; 100 where a list or 50 where the score asks for something."""
        by_rules = (evaluation.effective * self.severities[:, None]).max(axis=0, initial=0)
        by_model = np.where(evaluation.model >= REVIEW, 50 * evaluation.model.astype(np.int64), 0)
        return np.asarray(np.maximum(np.maximum(by_rules, by_model), np.where(evaluation.lists >= REVIEW, 100, 0)))

    def _with_shadow(self, findings: Findings, tried: Outcomes) -> Outcomes:
        """The outcome if rules, lists and thresholds in shadow were live."""
        allowed = self._allowed(findings.listed)
        fired = findings.fired & ~(self.suppressible[:, None] & allowed) if allowed.any() else findings.fired
        asked = np.maximum(self._ask_by_lists(findings.listed), ask_by_rules(fired, self.asks_for))
        return np.maximum(asked, np.where(allowed, APPROVE, tried))

    def _tried(self, findings: Findings, model: Outcomes, tried: Outcomes) -> Bools:
        """What in shadow had something to say, by `tried_names`."""
        found = [findings.fired[~self.live], findings.listed[self.lists_in_shadow]]
        if self.shadow_thresholds:
            found.append((tried == np.array([[APPROVE], [REVIEW], [DECLINE]])) & (tried != model))
        return np.concatenate(found)

    def allowed(self, findings: Findings) -> Bools:
        """(n) whether a live allow-list silences the model and the suppressible rules."""
        return self._allowed(findings.listed & ~self.lists_in_shadow[:, None])

    def _allowed(self, listed: Bools) -> Bools:
        return self._on(listed, ListKind.ALLOW) & ~self._on(listed, ListKind.BLOCK)

    def _ask_by_lists(self, listed: Bools) -> Outcomes:
        watched = np.where(self._on(listed, ListKind.WATCH), REVIEW, APPROVE)
        return np.where(self._on(listed, ListKind.BLOCK), DECLINE, watched)

    def _on(self, listed: Bools, kind: ListKind) -> Bools:
        of_kind = np.array([entities.kind is kind for entities in self.lists], np.bool_)
        return np.asarray(listed[of_kind].any(axis=0))


def _least(name: str, thresholds: Sequence[Thresholds]) -> Floats:
    """(segments) least scores for an outcome; infinity for never."""
    values = [getattr(each, name) for each in thresholds]
    return np.array([_NEVER if value is None else value for value in values])
