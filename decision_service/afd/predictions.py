"""Says a decision in the words of the detector: which of its rules matched, and its model's scores.

The decision is the core's. A rule that became a rule of the policy matched where the decision names it. Rules that
approve or ask for the score became no rule: their conditions are evaluated here, by the policy's own language, and they
say what the decision says: none asks for more than its outcome. Where something else asked for the outcome (a list, a
threshold, a rule that was added here), that stands in the answer under its own name, with an outcome of the detector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from decision_service.afd.detector import Served
from decision_service.engine import Answer
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.conditions import Conditions
from fraud.decision.record import Outcome
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import parse_condition
from fraud.migration.convert import SCORE_SCALE, CarriedRule
from fraud.records import Row
from fraud.records.transaction import TRANSACTION_SCHEMA, Transaction

log = structlog.get_logger()

_parse = msgspec.json.Decoder(Transaction).decode
_FIELDS = Transaction.__struct_fields__
_SCORES = ("MODEL_SCORE", "EXTERNAL_MODEL_SCORE")


@dataclass(frozen=True)
class _Asked:
    """The rules whose conditions are evaluated here, under one policy."""

    policy: CompiledPolicy
    conditions: Conditions
    rules: Sequence[CarriedRule]
    asks_for: dict[str, Outcome]

    def true(self, record: bytes) -> set[str]:
        """Ids of the rules whose conditions hold for a transaction."""
        if not self.rules:
            return set()
        parsed = _parse(record)
        row = Row(((name, getattr(parsed, name)) for name in _FIELDS), raw=record)
        return {rule.rule_id for rule, holds in zip(self.rules, self.conditions.of_row(row), strict=True) if holds}


class Predictions:
    """Makes the answers of GetEventPrediction.

    Args:
        served: the detector.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._rules = served.imported.rules
        self._outcomes = {rule.rule_id: list(rule.outcomes) for rule in self._version_rules()}
        self._own = {rule.policy_rule for rule in self._rules if rule.policy_rule is not None}
        self._first_only = served.detector.version.mode == "FIRST_MATCHED"
        self._said = {Outcome[meaning.upper()]: name for name, meaning in reversed(list(served.names.outcomes.items()))}
        self._asked: _Asked | None = None

    def answer(self, record: bytes, verdict: Answer, policy: CompiledPolicy) -> dict[str, Any]:
        """The answer on an event.

        Args:
            record: its transaction.
            verdict: as the service answered.
            policy: in force.
        """
        return {
            "modelScores": self._model_scores(verdict.score),
            "ruleResults": self.rule_results(record, verdict, policy),
            "externalModelOutputs": self._external_outputs(verdict.score),
        }

    def rule_results(self, record: bytes, verdict: Answer, policy: CompiledPolicy) -> list[dict[str, Any]]:
        """The rules that matched, in the detector's order; a single one where the first decides."""
        asked = self._under(policy)
        holds = asked.true(record)
        outcome = Outcome[verdict.outcome.upper()]
        matched = [rule for rule in self._rules if self._matched(rule, verdict, holds, bounded=True)]
        greatest = max((rule.outcome for rule in matched), default=Outcome.APPROVE)
        if greatest < outcome:  # perhaps a threshold, which knows no upper bound of the rule that it was
            matched = [rule for rule in self._rules if self._matched(rule, verdict, holds, bounded=False)]
            greatest = max((rule.outcome for rule in matched), default=Outcome.APPROVE)
        results = [self._result(rule.rule_id, self._outcomes[rule.rule_id]) for rule in matched]
        others = self._others(verdict, outcome, asked, explained=greatest == outcome)
        if not self._first_only:
            return results + others
        decisive = [result for rule, result in zip(matched, results, strict=True) if rule.outcome == outcome]
        return [*decisive, *others][:1]  # approved by no rule: none

    def warn_of_missing(self, policy: CompiledPolicy) -> None:
        """Says which rules of the detector the policy in force lacks."""
        missing = sorted(self._own - set(policy.rule_ids))
        if missing:
            way = "set policy.path to the imported policy.yaml, or add its rules to the policy in force"
            log.warning("imported_rules_not_in_policy", rules=missing, count=len(missing), way_out=way)

    @staticmethod
    def with_values(expression: str, variables: Mapping[str, str]) -> str:
        """A rule with the values of variables in place of their names.

        >>> Predictions.with_values("$price > 10 and $else == 1", {"price": "12"})
        '12 > 10 and $else == 1'
        """
        return re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), expression)

    def _matched(self, rule: CarriedRule, verdict: Answer, holds: set[str], bounded: bool) -> bool:
        if rule.policy_rule is not None:
            return rule.policy_rule in verdict.rules
        if rule.condition and rule.rule_id not in holds:
            return False
        if rule.at_least is None and rule.below is None:
            return True
        score, approves = verdict.score, rule.outcome is Outcome.APPROVE
        if score is None or score < (rule.at_least or 0.0):
            return False
        if rule.below is not None and score >= rule.below and (bounded or approves):
            return False
        if approves:
            return True
        return rule.segment in (None, verdict.segment) and Outcome[verdict.model_outcome.upper()] >= rule.outcome

    def _others(self, verdict: Answer, outcome: Outcome, asked: _Asked, explained: bool) -> list[dict[str, Any]]:
        """What asked for the outcome and is no rule of the detector."""
        if outcome is Outcome.APPROVE:
            return []
        added = [name for name in verdict.rules if name not in self._own and asked.asks_for.get(name) == outcome]
        if Outcome[verdict.lists_outcome.upper()] == outcome:
            added += verdict.lists
        if not added and not explained and Outcome[verdict.model_outcome.upper()] == outcome:
            added = [f"threshold-{verdict.segment}"]
        return [self._result(name, [self._said.get(outcome, outcome.label)]) for name in added]

    @staticmethod
    def _result(rule_id: str, outcomes: list[str]) -> dict[str, Any]:
        return {"ruleId": rule_id, "outcomes": outcomes}

    def _model_scores(self, score: float | None) -> list[dict[str, Any]]:
        """Our model's score under the names of each of the detector's models; none where rules alone decided."""
        if score is None:
            return []
        found = []
        for version in self._served.exported["version"].get("modelVersions", []):
            name = f"{version['modelId']}_insightscore"
            found.append({"modelVersion": version, "scores": {name: score * SCORE_SCALE}})
        return found

    def _external_outputs(self, score: float | None) -> list[dict[str, Any]]:
        """The same for models on SageMaker: theirs are not called, so each of their variables is our score."""
        if score is None:
            return []
        found = []
        for model in self._served.exported.get("external_models", []):
            if model["modelEndpoint"] not in self._served.exported["version"].get("externalModelEndpoints", []):
                continue
            output = model.get("outputConfiguration", {})
            names = {**output.get("jsonKeyToVariableMap", {}), **output.get("csvIndexToVariableMap", {})}.values()
            summary = {"modelEndpoint": model["modelEndpoint"], "modelSource": model.get("modelSource", "SAGEMAKER")}
            outputs = dict.fromkeys(names, f"{score * SCORE_SCALE:.15g}")
            found.append({"externalModel": summary, "outputs": outputs})
        return found

    def _version_rules(self) -> list[Any]:
        wanted = {(rule.rule_id, rule.version) for rule in self._rules}
        return [rule for rule in self._served.detector.rules if (rule.rule_id, rule.version) in wanted]

    def _under(self, policy: CompiledPolicy) -> _Asked:
        """What is evaluated here under a policy; worked out again when another one is in force."""
        if self._asked is None or self._asked.policy is not policy:
            self._asked = self._ask(policy)
        return self._asked

    def _ask(self, policy: CompiledPolicy) -> _Asked:
        rules, expressions = [], []
        for rule in self._rules:
            if rule.policy_rule is not None or not rule.condition:
                continue
            try:
                expression = parse_condition(rule.condition, policy.fields, policy.list_names)
            except ExpressionError as error:
                log.warning("rule_not_answered", rule=rule.rule_id, problem=str(error))
                continue
            known = {name for name in expression.fields if policy.fields[name].is_variable} | {
                *TRANSACTION_SCHEMA.names
            }
            if measured := sorted(expression.fields - known):
                log.warning("rule_not_answered", rule=rule.rule_id, problem=f"asks for {', '.join(measured)}")
                continue
            rules.append(rule)
            expressions.append(expression)
        asks_for = {each.rule.id: each.rule.asks_for for each in policy.rules}
        return _Asked(policy, Conditions(expressions, policy.fields, policy.lists), rules, asks_for)
