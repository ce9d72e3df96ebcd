"""Compiles a policy's files: reads the YAML, checks every part, and names all faults at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pydantic import ValidationError

from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import (
    DEFAULT_SEGMENT,
    EVALUATED,
    CompiledPolicy,
    CompiledRule,
    CompiledSegment,
    PolicyError,
    combine_lists,
)
from fraud.decision.policy.document import CONFIRMABLE, EntityList, PolicyDocument, RuleFile, Segment, Thresholds
from fraud.decision.policy.lists import CompiledList, compile_list
from fraud.decision.policy.variables import name_problem
from fraud.decision.rules.errors import ExpressionError
from fraud.decision.rules.expression import Expression, parse_condition
from fraud.decision.rules.fields import Field, Fields, Kind
from fraud.decision.rules.rule import Rule
from fraud.decision.rules.text import parse_template
from fraud.decision.rules.values import contradiction
from fraud.documents import DocumentError, explain, read_document
from fraud.errors import MisconfiguredError

DocumentT = TypeVar("DocumentT", bound=RuleFile)

_SHOWN = 5


def compile_policy(bundle: PolicyBundle, fields: Fields, base_currency: str = "EUR") -> CompiledPolicy:
    """Checks a policy against the fields that exist and makes it ready to evaluate batches.

    Args:
        bundle: the policy's files.
        fields: transaction fields and features, see `fraud.decision.rules.fields.fields_of`.
        base_currency: currency of `billing_amount_minor`.

    Raises:
        PolicyError: with every fault of the policy.
    """
    return _Compiler(bundle, fields, base_currency).compile()


class _Compiler:
    """Gathers the faults of all parts, so that an author fixes them in one go."""

    def __init__(self, bundle: PolicyBundle, fields: Fields, base_currency: str) -> None:
        self._bundle = bundle
        self._fields = fields
        self._base_currency = base_currency
        self._faults: list[str] = []
        self._warnings: list[str] = []

    def compile(self) -> CompiledPolicy:
        document = self._read(ROOT, PolicyDocument) or PolicyDocument(thresholds=Thresholds())
        self._fields = self._with_variables(document)
        lists = [compiled for entry in document.lists for compiled in self._list(entry)]
        own_names = [entry.name for entry in document.lists]
        names = list(dict.fromkeys([*own_names, *self._bundle.lists.by_name]))
        files = [document, *(found for name in document.rule_files if (found := self._read(name, RuleFile)))]
        rules = [compiled for file in files for rule in self._rules_of(file) for compiled in self._rule(rule, names)]
        segments = [compiled for segment in document.segments for compiled in self._segment(segment, names)]
        self._refuse_repeats("rule", (rule.rule.id for rule in rules))
        self._refuse_repeats("list", own_names)
        self._refuse_repeats("segment", (segment.name for segment in document.segments))
        known = {DEFAULT_SEGMENT, *(segment.name for segment in document.segments)}
        for name in document.shadow_thresholds.keys() - known:
            self._faults.append(f"shadow_thresholds: there is no segment {name}")
        try:
            combined = combine_lists(lists, self._bundle.lists)
        except PolicyError as error:
            self._faults += error.faults
        else:
            self._check_confirmed(document, combined)
        if self._faults:
            raise PolicyError(self._faults)
        self._warn_of_moved(lists)
        evaluated = [rule for rule in rules if rule.rule.state in EVALUATED]
        return CompiledPolicy(
            bundle=self._bundle,
            rules=sorted(evaluated, key=_importance),
            idle_rules=[rule for rule in rules if rule.rule.state not in EVALUATED],
            segments=segments,
            thresholds=document.thresholds,
            lists=combined,
            own_lists=lists,
            fields=self._fields,
            base_currency=self._base_currency,
            warnings=self._warnings,
            confirmed_fraud=document.confirmed_fraud,
            list_states={entry.name: entry.state for entry in document.lists},
            shadow_thresholds=document.shadow_thresholds,
        )

    def _read(self, name: str, kind: type[DocumentT]) -> DocumentT | None:
        text = self._bundle.files.get(name)
        if text is None:
            self._faults.append(f"{name}: no such file in the policy")
            return None
        try:
            return read_document(name, text, kind)
        except DocumentError as error:
            self._faults.extend(f"{name}: {fault}" for fault in error.faults)
            return None

    def _with_variables(self, document: PolicyDocument) -> Fields:
        own = {}
        for name, kind in document.variables.items():
            if (problem := name_problem(name, self._fields)) is not None:
                self._faults.append(f"variable {name}: {problem}")
            own[name] = Field(name, Kind(kind), is_variable=True)
        return {**own, **self._fields}

    def _rules_of(self, file: RuleFile) -> Iterator[Rule]:
        yield from file.rules
        for limit in file.velocity:
            try:
                yield limit.as_rule()
            except ValidationError as error:
                self._faults.extend(f"velocity {limit.id}: {fault}" for fault in explain(error))

    def _list(self, document: EntityList) -> Iterator[CompiledList]:
        if document.file is not None and document.file not in self._bundle.files:
            self._faults.append(f"list {document.name}: file: {document.file} is not in the policy")
            return
        try:
            compiled = compile_list(document, self._bundle.files)
        except MisconfiguredError as error:
            self._faults.append(str(error))
            return
        field = self._fields.get(compiled.field)
        if field is not None and field.standard is not None:
            unknown = [value for value in compiled.expires_ms if not field.standard.has(value)]
            shown = ", ".join(map(repr, unknown[:_SHOWN]))
            self._warnings += [f"list {document.name}: no code of {field.standard.name}: {shown}"] * bool(unknown)
        yield compiled

    def _check_confirmed(self, document: PolicyDocument, lists: Sequence[CompiledList]) -> None:
        of = {entities.name: entities.of for entities in lists}
        for each in document.confirmed_fraud:
            if of.get(each.list) not in CONFIRMABLE:
                self._faults.append(f"confirmed_fraud: {each.list} is no list of {', '.join(CONFIRMABLE)}")

    def _warn_of_moved(self, lists: Sequence[CompiledList]) -> None:
        """Says where entries of the files have no effect, because the list is in the store."""
        for own in lists:
            living = self._bundle.lists.by_name.get(own.name)
            if living is None or not own.size:
                continue
            if gone := own.missing_from(living.compiled):
                self._warnings.append(
                    f"list {own.name}: the store of lists has it, so {gone:,} entries of the files that it lacks have "
                    "no effect: remove them, or `fraud lists add` them"
                )

    def _rule(self, rule: Rule, lists: Sequence[str]) -> Iterator[CompiledRule]:
        condition = self._condition(f"rule {rule.id}: when", rule.when, lists)
        if condition is not None and rule.about_condition is not None:
            about = parse_condition(rule.about_condition, self._fields)
            if term := contradiction(about.left, condition.left):
                self._faults.append(f"rule {rule.id}: when: nothing is left of {term} in {', '.join(rule.about)}")
            condition = condition.within(about)
        if condition is not None and rule.rollout_condition is not None:
            condition = condition.within(parse_condition(rule.rollout_condition, self._fields))
        try:
            text = parse_template(rule.text, self._fields, self._base_currency)
        except ExpressionError as error:
            self._faults.append(f"rule {rule.id}: text: {error}")
            return
        if condition is not None:
            yield CompiledRule(rule, condition, text)

    def _segment(self, segment: Segment, lists: Sequence[str]) -> Iterator[CompiledSegment]:
        condition = self._condition(f"segment {segment.name}: when", segment.when, lists)
        if condition is not None:
            yield CompiledSegment(segment.name, condition, segment)

    def _condition(self, place: str, text: str, lists: Sequence[str]) -> Expression | None:
        try:
            condition = parse_condition(text, self._fields, lists)
        except ExpressionError as error:
            self._faults.append(f"{place}: {error}")
            return None
        self._warnings.extend(f"{place}: {doubt}" for doubt in condition.doubts)
        return condition

    def _refuse_repeats(self, what: str, names: Iterable[str]) -> None:
        self._faults.extend(f"{what} {name}: given twice" for name, count in Counter(names).items() if count > 1)


def _importance(rule: CompiledRule) -> tuple[int, int, str]:
    """Sorts the most important first; the order in which a policy names its rules means nothing."""
    return -rule.rule.asks_for, -rule.rule.severity, rule.rule.id
