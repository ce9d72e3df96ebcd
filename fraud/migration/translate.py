"""Writes trees of the service's rule language as conditions of ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fraud.decision.rules.fields import Fields, Kind
from fraud.migration.language import COMPARISONS, Call, Literal, Membership, Node, Operation, Variable
from fraud.migration.mapping import Binding
from fraud.money import MINOR_DIGITS, minor_units
from fraud.records.transaction import TRANSACTION_SCHEMA


class DoesNotCarryError(ValueError):
    """A part of a rule that has no counterpart."""


_CENTS = 100
_BY_UNITS = [
    (units, ", ".join(f"'{code}'" for code in sorted(MINOR_DIGITS) if minor_units(code) == units))
    for units in sorted({minor_units(code) for code in MINOR_DIGITS} - {_CENTS})
]
_WHENS = " ".join(f"WHEN currency IN ({codes}) THEN amount_minor / {units}" for units, codes in _BY_UNITS)
_MAJOR_UNITS = f"(CASE {_WHENS} ELSE amount_minor / {_CENTS} END)"
"""An amount in major units, where the currency varies."""

_SQL = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FUNCTIONS = {"lowercase": "lower", "uppercase": "upper"}
_PATTERN = re.compile(r"(?P<start>\^)?(?P<before>\.\*)?(?P<literal>(?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])*)"
                      r"(?P<after>\.\*)?(?P<end>\$)?")  # fmt: skip


@dataclass(frozen=True)
class Names:
    """What names in rules stand for.

    Attributes:
        variables: bindings by variable.
        defaults: what the service takes for a missing value, by variable.
        lists: names of our lists by theirs.
        elements: what was on each list, by their name.
        fields: our fields.
        currency: of all amounts; None where a variable says it of each.
    """

    variables: Mapping[str, Binding]
    defaults: Mapping[str, str]
    lists: Mapping[str, str]
    elements: Mapping[str, Collection[str]]
    fields: Fields
    currency: str | None


class Translator:
    """Writes conditions; notes what is not exactly the same in `notes`."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.notes: list[str] = []

    def condition(self, node: Node) -> str:
        """The condition of a tree.

        Raises:
            DoesNotCarryError: with what is in the way.
        """
        match node:
            case Operation("and" | "or", parts):
                return f" {node.operator.upper()} ".join(self._inside(part) for part in parts)
            case Operation("not", (part,)):
                return f"NOT {self._inside(part)}"
            case Operation(operator, (left, right)) if operator in COMPARISONS:
                return self._comparison(operator, left, right)
            case Membership():
                return self._membership(node)
            case Call("regex_match", (Literal(str(pattern)), value)):
                return self._match(pattern, self._value(value, Kind.TEXT))
            case Variable(name) if self._kind(node) is Kind.BOOL:
                return self._variable(name, Kind.BOOL)
        raise DoesNotCarryError("a value where a condition was expected")

    def _inside(self, node: Node) -> str:
        text = self.condition(node)
        return f"({text})" if isinstance(node, Operation) and node.operator in ("and", "or") else text

    def _comparison(self, operator: str, left: Node, right: Node) -> str:
        if Literal(None) in (left, right):
            value = left if right == Literal(None) else right
            if operator not in ("==", "!="):
                raise DoesNotCarryError("null has no order")
            return f"{self._raw(value)} IS {'NOT ' if operator == '!=' else ''}NULL"
        kind = self._kind(left) or self._kind(right) or Kind.NUMBER
        return f"{self._value(left, kind)} {_SQL[operator]} {self._value(right, kind)}"

    def _membership(self, node: Membership) -> str:
        if isinstance(node.among, str):
            return self._list_membership(node, node.among)
        kind = self._kind(node.value) or Kind.NUMBER
        values = ", ".join(self._value(value, kind) for value in node.among)
        return f"{self._value(node.value, kind)} {'NOT ' if node.negated else ''}IN ({values})"

    def _list_membership(self, node: Membership, name: str) -> str:
        if name not in self._names.lists:
            raise DoesNotCarryError(f"the list {name} was not exported")
        if not isinstance(node.value, Variable):
            raise DoesNotCarryError(f"in @{name} of something other than a variable")
        field = self._binding(node.value.name).field
        test = f"in_list({field}, '{self._names.lists[name]}')"
        listed = self._names.defaults.get(node.value.name) in self._names.elements[name]
        known = f"coalesce({test}, {str(listed).upper()})" if _may_be_null(field) else test
        if listed and _may_be_null(field):
            self.notes.append(f"a missing ${node.value.name} counts as on {name}, as its default was on it")
        return f"NOT {known}" if node.negated else known

    def _match(self, pattern: str, value: str) -> str:
        found = _PATTERN.fullmatch(pattern)
        if found is None or not found["literal"]:
            raise DoesNotCarryError(f"the regular expression {pattern!r}; only literal beginnings, ends and parts do")
        if found["start"] and not found["end"] and not found["after"]:
            self.notes.append(f"{pattern!r} is taken to mean: begins so")
        literal = _quoted(re.sub(r"\\(.)", r"\1", found["literal"]))
        before, after = bool(found["before"]), bool(found["after"]) or bool(found["start"] and not found["end"])
        if before and after:
            return f"contains({value}, {literal})"
        if before or after:
            return f"{'ends_with' if before else 'starts_with'}({value}, {literal})"
        return f"{value} = {literal}"

    def _kind(self, node: Node) -> Kind | None:
        """The kind that a part insists on; a literal adapts to the other side."""
        match node:
            case Variable(name):
                return self._names.fields[self._binding(name).field].kind
            case Call():
                return Kind.TEXT
            case Operation():
                return Kind.NUMBER
            case Literal(bool()):
                return Kind.BOOL
        return Kind.TEXT if isinstance(node, Literal) and isinstance(node.value, str) else None

    def _value(self, node: Node, kind: Kind) -> str:
        match node:
            case Literal(value):
                return _written(value, kind)
            case Variable(name):
                return self._variable(name, kind)
            case Operation(operator, (left, right)) if operator in "+-*/%":
                return f"({self._value(left, Kind.NUMBER)} {operator} {self._value(right, Kind.NUMBER)})"
            case Call(function, (argument,)) if function in _FUNCTIONS:
                return f"{_FUNCTIONS[function]}({self._value(argument, Kind.TEXT)})"
            case Call(function, _):
                raise DoesNotCarryError(f"the function {function}")
        raise DoesNotCarryError("a condition where a value was expected")

    def _variable(self, name: str, kind: Kind) -> str:
        binding = self._binding(name)
        if self._names.fields[binding.field].kind is not kind:
            raise DoesNotCarryError(f"${name} is {binding.field} here, which is not a {kind}")
        value = self._scaled(binding)
        default = self._names.defaults.get(name)
        if default is None or not _may_be_null(binding.field):
            return value
        return f"coalesce({value}, {_written(default, kind)})"

    def _scaled(self, binding: Binding) -> str:
        """A field in the units of its variable: an amount in major units of its currency."""
        if binding.scale == 1:
            return binding.field
        if (binding.field, binding.scale) != ("amount_minor", _CENTS):
            return f"({binding.field} / {binding.scale:g})"
        if self._names.currency is None:
            return _MAJOR_UNITS
        units = minor_units(self._names.currency)
        return binding.field if units == 1 else f"({binding.field} / {units})"

    def _raw(self, node: Node) -> str:
        if not isinstance(node, Variable):
            raise DoesNotCarryError("null compared with something other than a variable")
        if node.name in self._names.defaults and _may_be_null(self._binding(node.name).field):
            self.notes.append(f"${node.name} had a default where it is missing; here it is tested as it came")
        return self._binding(node.name).field

    def _binding(self, name: str) -> Binding:
        binding = self._names.variables.get(name)
        if binding is None:
            raise DoesNotCarryError(f"${name} is not mapped to any of our fields (mapping.yaml: variables)")
        if binding.field not in self._names.fields:
            raise DoesNotCarryError(f"${name} is mapped to {binding.field}, which does not exist")
        return binding


def _may_be_null(field: str) -> bool:
    index = TRANSACTION_SCHEMA.get_field_index(field)
    return index < 0 or bool(TRANSACTION_SCHEMA.field(index).nullable)


def _written(value: float | str | bool | None, kind: Kind) -> str:
    if value is None:
        raise DoesNotCarryError("null as a value")
    if kind is Kind.NUMBER:
        try:
            return f"{float(value):.15g}"
        except ValueError:
            raise DoesNotCarryError(f"{value!r} is not a number") from None
    if kind is Kind.BOOL:
        if str(value).lower() not in ("true", "false"):
            raise DoesNotCarryError(f"{value!r} is no truth value")
        return str(value).upper()
    if isinstance(value, bool):
        raise DoesNotCarryError("a truth value compared with something else")
    return _quoted(value if isinstance(value, str) else f"{value:.15g}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
