"""Converts a detector into a policy, and says what is exact, what changes and what does not carry over."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import yaml

from fraud.decision.policy.document import ENTITY_FIELDS, TEXT
from fraud.decision.policy.variables import name_problem
from fraud.decision.record import Outcome
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import parse_condition
from fraud.decision.rules.fields import Field, Fields, Kind
from fraud.migration.language import Literal, Node, Operation, UnreadableRuleError, Variable, parse_rule
from fraud.migration.mapping import Binding, NameMapping
from fraud.migration.recording import recording_of
from fraud.migration.shapes import Detector, EventType, RuleDetail
from fraud.migration.translate import DoesNotCarryError, Names, Translator

KINDS = {
    "STRING": Kind.TEXT,
    "INTEGER": Kind.NUMBER,
    "FLOAT": Kind.NUMBER,
    "BOOLEAN": Kind.BOOL,
    "DATETIME": Kind.TIME,
}
"""Kinds of values by the service's data types."""

SCORE_SCALE = 1000
"""The service's insight scores go from 0 to 1000."""


class Carries(enum.StrEnum):
    """How well something carries over."""

    EXACT = "exact"
    CHANGED = "changed"
    LOST = "lost"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    carries: Carries
    subject: str
    note: str


@dataclass(frozen=True)
class CarriedRule:
    """A rule of the detector that carries over, and by what a decision shows that it matched.

    Attributes:
        rule_id: as it is there.
        version: likewise.
        outcome: what its outcomes mean here.
        policy_rule: id of the rule of the policy that it became; None where it approves or asks for the score.
        condition: in our language, without the guards of earlier rules; empty where it asks for the score alone.
        at_least: least score (0 to 1) that it asks for; None without one.
        below: score from which on it does not match there; None without one. The threshold that it became has no such
            bound: a higher score never softens an outcome.
        segment: whose thresholds it became; None where they hold for all transactions, or it became none.
    """

    rule_id: str
    version: str
    outcome: Outcome
    policy_rule: str | None = None
    condition: str = ""
    at_least: float | None = None
    below: float | None = None
    segment: str | None = None


@dataclass(frozen=True)
class Imported:
    """The result.

    Attributes:
        policy: text of `policy.yaml`.
        recordings: for each event type the text of the mapping of its stored events.
        findings: the report.
        rules: those that carry over, in the order in which they are tried.
        variables: those that became variables of the policy, with their kinds.
    """

    policy: str
    recordings: Mapping[str, str]
    findings: Sequence[Finding]
    rules: Sequence[CarriedRule]
    variables: Mapping[str, Kind]


def convert(detector: Detector, mapping: NameMapping, fields: Fields) -> Imported:
    """Converts a detector version.

    Rules become rules where they do not look at the score, thresholds (of all or of a segment) where they do. In the
    mode FIRST_MATCHED a rule counts only where no earlier one matched, so each rule gets the negation of the earlier
    ones; ALL_MATCHED needs none.
    """
    return _Conversion(detector, mapping, fields).run()


@dataclass(frozen=True)
class _Earlier:
    """A rule that was tried before: its condition (None where it looks at the score) and outcome."""

    rule_id: str
    condition: str | None
    outcome: Outcome


@dataclass
class _Conversion:
    detector: Detector
    mapping: NameMapping
    fields: Fields
    findings: list[Finding] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)
    earlier: list[_Earlier] = field(default_factory=list)
    carried: list[CarriedRule] = field(default_factory=list)
    held_back: dict[str, frozenset[str]] = field(default_factory=dict)
    """Segments for which thresholds wait that milder rules come before, with the conditions of these."""

    def run(self) -> Imported:
        kinds = self._own_variables()
        own = {name: Field(name, kind, is_variable=True) for name, kind in kinds.items()}
        lists = list(self._lists(own))
        defaults = {v.name: v.default_value for v in self.detector.variables if v.default_value is not None}
        list_names = {
            name: identifier(name) for name in self.detector.lists if any(e["name"] == identifier(name) for e in lists)
        }
        said = any(binding.field == "currency" for binding in self.mapping.variables.values())
        currency = None if said else self.mapping.constants.get("currency", "EUR")
        bindings = {name: Binding(field=name) for name in own}
        self.fields = {**self.fields, **own}
        self._names = Names(
            {**bindings, **self.mapping.variables}, defaults, list_names, self.detector.lists, self.fields, currency
        )
        self._report_names()
        recordings = {identifier(event.name): self._recording(event) for event in self.detector.event_types}
        for rule in self._ordered_rules():
            self._rule(rule)
        everywhere = self.thresholds.pop("", {})
        by_guards = sorted(self.held_back, key=lambda when: -len(self.held_back[when]))
        ordered = [when for when in self.thresholds if when not in self.held_back] + by_guards
        names = {when: f"imported-{number}" for number, when in enumerate(ordered, 1)}
        limits = {when: self._limits(when, everywhere) for when in ordered}
        segments = [{"name": names[when], "when": when, **limits[when]} for when in ordered]
        policy = {
            **({"variables": {name: kind.value for name, kind in kinds.items()}} if kinds else {}),
            "thresholds": everywhere,
            "segments": segments,
            "lists": lists,
            "rules": self.rules,
        }
        if self._scores:
            note = "0 to 1000 there, probabilities here: choose thresholds by fraud backtest --reviews-per-day"
            self._find(Carries.CHANGED, "model scores", note)
        if len(segments) > 1:
            self._find(Carries.CHANGED, "segments", "of several that apply, only the first one counts")
        rules = [replace(rule, segment=names.get(rule.segment or "")) for rule in self.carried]
        text = yaml.safe_dump(policy, sort_keys=False, width=110)
        return Imported(text, recordings, self.findings, rules, kinds)

    def _own_variables(self) -> dict[str, Kind]:
        """Kinds of the variables that stand for no field of ours: they become variables of the policy."""
        return {
            v.name: KINDS[v.data_type]
            for v in self.detector.variables
            if v.name not in self.mapping.variables and v.name not in self._scores
            if name_problem(v.name, self.fields) is None
        }

    def _report_names(self) -> None:
        """What variables, labels, outcomes and entity types stand for."""
        for variable in self.detector.variables:
            bound = self.mapping.variables.get(variable.name)
            subject = f"variable {variable.name}"
            if bound is not None:
                scale = f", {bound.scale:g} of ours to one of theirs" if bound.scale != 1 else ""
                self._find(Carries.EXACT, subject, f"{bound.field}{scale}")
            elif variable.name in self._names.variables:
                kind = self.fields[variable.name].kind
                self._find(Carries.EXACT, subject, f"no field of ours: kept with its event, for rules a {kind}")
            elif variable.name not in self._scores:
                note = name_problem(variable.name, self.fields)
                self._find(Carries.LOST, subject, f"{note} here: map it to a field (mapping.yaml: variables)")
        for label in (label.name for label in self.detector.labels):
            meaning = self.mapping.labels.get(label)
            self._find(Carries.EXACT if meaning else Carries.LOST, f"label {label}", meaning or "mapping.yaml: labels")
        for outcome in (outcome.name for outcome in self.detector.outcomes):
            if outcome in self.mapping.outcomes:
                self._find(Carries.EXACT, f"outcome {outcome}", self.mapping.outcomes[outcome])
            else:
                self._find(Carries.CHANGED, f"outcome {outcome}", "taken as review (mapping.yaml: outcomes)")
        for entity in (entity.name for entity in self.detector.entity_types):
            field = self.mapping.entities.get(entity)
            self._find(
                Carries.EXACT if field else Carries.LOST, f"entity type {entity}", field or "mapping.yaml: entities"
            )

    def _recording(self, event: EventType) -> str:
        """The mapping of an event type's stored events."""
        recording, missing = recording_of(event, self.mapping)
        subject = f"event type {event.name}"
        known = {variable.name for variable in self.detector.variables} | self._scores
        if absent := sorted(set(event.variables) - known):
            self._find(Carries.LOST, subject, f"variables that were not exported: {', '.join(absent)}")
        if missing:
            self._find(
                Carries.CHANGED,
                subject,
                f"its events do not say {', '.join(missing)}: add them under constants (mapping.yaml)",
            )
        else:
            self._find(Carries.EXACT, subject, "its events have all that a transaction needs")
        return yaml.safe_dump(recording, sort_keys=False, width=110)

    def _find(self, carries: Carries, subject: str, note: str) -> None:
        self.findings.append(Finding(carries, subject, note))

    def _ordered_rules(self) -> Iterator[RuleDetail]:
        known = {(rule.rule_id, rule.version): rule for rule in self.detector.rules}
        for reference in self.detector.version.rules:
            rule = known.get((reference.rule_id, reference.version))
            if rule is None:
                self._find(Carries.LOST, f"rule {reference.rule_id}", f"version {reference.version} was not exported")
            else:
                yield rule

    def _lists(self, own: Fields) -> Iterator[dict[str, Any]]:
        """Each exported list as a named list of the entity that its rules look up, or of text."""
        entity_of = {column: entity for entity, column in ENTITY_FIELDS.items()}
        for name, elements in self.detector.lists.items():
            types = [m.variable_type for m in self.detector.lists_metadata if m.name == name]
            typed = (self.mapping.variables.get(v.name) for v in self.detector.variables if v.variable_type in types)
            entities = [entity_of[b.field] for b in typed if b is not None and b.field in entity_of]
            asked = (own.get(v.name) for v in self.detector.variables if v.variable_type in types)
            entities += [TEXT for field in asked if field is not None and field.kind is Kind.TEXT]
            if not entities:
                self._find(
                    Carries.LOST, f"list {name}", f"no field of ours is of its type {', '.join(map(str, types))}"
                )
                continue
            self._find(Carries.EXACT, f"list {name}", f"{len(elements)} entries, asked by rules")
            yield {"name": identifier(name), "kind": "named", "of": entities[0], "entries": sorted(set(elements))}

    def _rule(self, rule: RuleDetail) -> None:
        outcome = self._outcome(rule)
        translator = Translator(self._names)
        try:
            tree = parse_rule(rule.expression)
            asks_score = _mentions(tree, self._scores)
            condition = None if asks_score else translator.condition(tree)
            if asks_score:
                self._score_rule(rule, outcome, tree, translator)
            elif condition is not None:
                self._plain_rule(rule, outcome, condition, translator.notes)
        except (UnreadableRuleError, DoesNotCarryError, ExpressionError) as error:
            freed = "; later rules are no longer held back by it" if self._first_matched else ""
            self._find(Carries.LOST, f"rule {rule.rule_id}", f"{error}{freed}. It read: {rule.expression}")
            return
        self.earlier.append(_Earlier(rule.rule_id, condition, outcome))

    def _outcome(self, rule: RuleDetail) -> Outcome:
        meanings = (self.mapping.outcomes.get(name, Outcome.REVIEW.label) for name in rule.outcomes)
        return max((Outcome[meaning.upper()] for meaning in meanings), default=Outcome.REVIEW)

    def _plain_rule(self, rule: RuleDetail, outcome: Outcome, condition: str, notes: Sequence[str]) -> None:
        parse_condition(condition, self.fields, list(self._names.lists.values()))
        if outcome is Outcome.APPROVE:
            note = "approves: nothing to do, but for the guards of later rules"
            self._find(Carries.EXACT, f"rule {rule.rule_id}", note)
            self.carried.append(CarriedRule(rule.rule_id, rule.version, outcome, None, condition))
            return
        guarded = self._guarded(rule.rule_id, condition, outcome)
        self._check(guarded)
        name = identifier(rule.rule_id)
        self.rules.append(
            {
                "id": name,
                "description": rule.description or f"imported from detector {self.detector.version.detector_id}",
                "when": guarded,
                "outcome": outcome.label,
                "reason": name.upper().replace("-", "_")[:48],
                "text": (rule.description or rule.rule_id).replace("{", "{{").replace("}", "}}"),
                "tags": ["imported"],
            }
        )
        self.carried.append(CarriedRule(rule.rule_id, rule.version, outcome, name, condition))
        kind = Carries.CHANGED if notes else Carries.EXACT
        self._find(kind, f"rule {rule.rule_id}", "; ".join([f"rule {name}", *notes]))

    def _score_rule(self, rule: RuleDetail, outcome: Outcome, tree: Node, translator: Translator) -> None:
        """A conjunction of score bounds and other conditions becomes the thresholds of a segment."""
        parts = tree.operands if isinstance(tree, Operation) and tree.operator == "and" else (tree,)
        bounds = [_bound(part, self._scores) for part in parts if _mentions(part, self._scores)]
        rest = [part for part in parts if not _mentions(part, self._scores)]
        least = max((value for operator, value in bounds if operator.startswith(">")), default=None)
        most = min((value for operator, value in bounds if operator.startswith("<")), default=None)
        condition = translator.condition(Operation("and", tuple(rest))) if rest else ""
        if condition:
            self._check(condition)
        at_least, below = (None if bound is None else bound / SCORE_SCALE for bound in (least, most))
        carried = CarriedRule(rule.rule_id, rule.version, outcome, None, condition, at_least, below)
        if outcome is Outcome.APPROVE:
            self._find(
                Carries.EXACT, f"rule {rule.rule_id}", "approves by score: what no threshold reaches is approved"
            )
            self.carried.append(carried)
            return
        if least is None:
            raise DoesNotCarryError("it asks for action on low scores")
        if most is not None:
            note = "its upper bound of the score is left out: a higher score never softens an outcome"
            self._find(Carries.CHANGED, f"rule {rule.rule_id}", note)
        when = self._guarded(rule.rule_id, condition, outcome) if condition else self._held_back(rule.rule_id, outcome)
        if when:
            self._check(when)
        self.carried.append(replace(carried, segment=when))
        limits = self.thresholds.setdefault(when, {})
        limits[outcome.label] = min(limits.get(outcome.label, 1.0), least / SCORE_SCALE)
        self._find(Carries.CHANGED, f"rule {rule.rule_id}", f"{outcome.label} from score {least / SCORE_SCALE:g} on")

    @cached_property
    def _scores(self) -> frozenset[str]:
        """Variables that hold model scores."""
        declared = {v.name for v in self.detector.variables if v.data_source != "EVENT"}
        used = re.findall(r"\$(\w+_insightscore)\b", " ".join(rule.expression for rule in self.detector.rules))
        return frozenset(declared | set(used))

    @property
    def _first_matched(self) -> bool:
        return self.detector.version.mode == "FIRST_MATCHED"

    def _guarded(self, rule_id: str, condition: str, outcome: Outcome) -> str:
        if not self._first_matched:
            return condition
        guards = [f"NOT coalesce({earlier.condition}, FALSE)" for earlier in self.earlier if earlier.condition]
        self._note_milder_scores(rule_id, outcome)
        return " AND ".join([f"({condition})" if guards else condition, *guards])

    def _held_back(self, rule_id: str, outcome: Outcome) -> str:
        """Where a threshold applies that milder rules come before: where none of them matches; empty for everywhere.

        Where one as strict matches, it makes no difference.
        """
        if not self._first_matched:
            return ""
        self._note_milder_scores(rule_id, outcome)
        milder = [e.condition for e in self.earlier if e.condition and e.outcome < outcome]
        guards = frozenset(milder)
        if any(not (guards <= other or other <= guards) for other in self.held_back.values()):
            note = "milder rules before it no longer keep it from applying"
            self._find(Carries.CHANGED, f"rule {rule_id}", note)
            return ""
        when = " AND ".join(f"NOT coalesce({condition}, FALSE)" for condition in milder)
        if when:
            self.held_back[when] = guards
        return when

    def _limits(self, when: str, everywhere: dict[str, float]) -> dict[str, float]:
        """Thresholds of a segment, with those of all that apply wherever it does."""
        limits = _least(everywhere, self.thresholds[when])
        for other, guards in self.held_back.items():
            if all(f"NOT coalesce({condition}, FALSE)" in when for condition in guards):
                limits = _least(limits, self.thresholds[other])
        return limits

    def _note_milder_scores(self, rule_id: str, outcome: Outcome) -> None:
        if any(earlier.condition is None and earlier.outcome < outcome for earlier in self.earlier):
            note = "a milder rule by score before it no longer keeps it from applying"
            self._find(Carries.CHANGED, f"rule {rule_id}", note)

    def _check(self, condition: str) -> None:
        parse_condition(condition, self.fields, list(self._names.lists.values()))


def _least(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The lower of two limits for each outcome; a segment's limits replace those of all transactions."""
    return {
        name: min(one.get(name, 1.0), other.get(name, 1.0)) for name in sorted(one.keys() | other.keys(), reverse=True)
    }


def _mentions(node: Node, variables: frozenset[str]) -> bool:
    if isinstance(node, Variable):
        return node.name in variables
    parts = [getattr(node, name, ()) for name in ("operands", "arguments")]
    value = getattr(node, "value", None)
    nested = [*parts[0], *parts[1], *([value] if isinstance(value, Variable | Operation) else [])]
    return any(_mentions(part, variables) for part in nested)


def _bound(node: Node, scores: frozenset[str]) -> tuple[str, float]:
    """The operator and value of `$score > value`, or the other way round."""
    match node:
        case Operation(">" | ">=" | "<" | "<=", (Variable(name), Literal(float(value)))) if name in scores:
            return node.operator, value
        case Operation(">" | ">=" | "<" | "<=", (Literal(float(value)), Variable(name))) if name in scores:
            return node.operator.translate(str.maketrans("<>", "><")), value
    raise DoesNotCarryError("it uses the score other than by comparing it with a number")


def identifier(name: str) -> str:
    """A name of theirs as ours are written.

    >>> identifier("large_gambling")
    'large-gambling'
    """
    return "-".join(part for part in name.replace("_", "-").split("-") if part)[:64]
