"""Many conditions as one function of a row: calling a function for each of their parts would cost more than they do.

The forms that nearly all conditions are made of, comparisons of columns, of literals and of what is computed from them,
joined by AND and OR, are written out as Python source, which is compiled. Whatever else stands in a condition is called
as the function that its term gives. Literals of text never become source: only numbers and truth values do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import CodeType
from typing import Any

from fraud.decision.rules.functions import OPERATIONS
from fraud.decision.rules.terms import Among, Apply, Literal, Read, Term

OfAll = Callable[[dict[str, Any]], tuple[bool | None, ...]]
"""Gives the value of each condition for one row, in which numbers become finite floats on the way."""

_SIGNS = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_COMPARED = {
    "=": "{0} == {1} or ({0} != {0} and {1} != {1})",
    "<>": "not ({0} == {1} or ({0} != {0} and {1} != {1}))",
    "<": "{0} < {1} or ({1} != {1} and {0} == {0})",
    "<=": "{0} <= {1} or {1} != {1}",
    ">": "{1} < {0} or ({0} != {0} and {1} == {1})",
    ">=": "{1} <= {0} or {0} != {0}",
}
"""Comparisons of what is computed, which may be no number: see `fraud.decision.rules.terms`."""

_COMPUTED = {
    "+": "{0} + {1}",
    "-": "{0} - {1}",
    "*": "{0} * {1}",
    "/": "({0} / {1} if {1} else None)",
}
_AT_ONCE = 64
"""Conditions of one function: compiling it lets no other thread run."""

_DEEPEST = 8
"""Terms that stand deeper than so are called: Python's parser has a limit."""


def together(terms: Sequence[Term], begins: Mapping[str, Term] | None = None, numbers: Sequence[str] = ()) -> OfAll:
    """The function that gives the value of each condition for one row.

    Args:
        terms: the conditions.
        begins: what is computed before them, by the column that they read it from as first part of an AND.
        numbers: columns that may hold other numbers than finite floats; the function makes them so in the row itself.
    """
    parts = [
        _one_function(terms[first : first + _AT_ONCE], begins or {}, () if first else numbers)
        for first in range(0, len(terms), _AT_ONCE)
    ]
    if len(parts) == 1:
        return parts[0]
    return lambda row: tuple(chain.from_iterable([part(row) for part in parts]))


def finite(value: float) -> float | None:
    """A number as conditions read it: a float; None for what has no place in an order."""
    return float(value) if -math.inf < value < math.inf else None


def _one_function(terms: Sequence[Term], begins: Mapping[str, Term], numbers: Sequence[str]) -> OfAll:
    source = _Source()
    to_finite = source.known(finite) if numbers else ""
    firsts = {part for term in terms if isinstance(term, Apply) for part in term.parts[:1]}
    begun = [(source.column(name), source.of(term)) for name, term in begins.items() if Read(name) in firsts]
    values = [source.of(term) for term in terms]
    for name in numbers:  # those too that only a function reads
        source.column(name)
    begun_at = {variable for variable, _ in begun}
    read = ((name, variable) for name, variable in source.columns.items() if variable not in begun_at)
    lines = [
        *(_reading(variable, source.known(name), to_finite if name in numbers else None) for name, variable in read),
        *(f"{variable} = {value}" for variable, value in begun),
        f"return ({''.join(f'{value}, ' for value in values)})",
    ]
    exec(_compiled("\n    ".join(("def conditions(row):", *lines))), source.constants)
    return source.constants["conditions"]  # type: ignore[no-any-return]


def _reading(variable: str, name: str, to_finite: str | None) -> str:
    """Source that reads a column."""
    line = f"{variable} = row[{name}]"
    if to_finite is None:
        return line
    is_other = f"{variable}.__class__ is not float or {variable} - {variable} != 0.0"
    return f"{line}\n    if {variable} is not None and ({is_other}): {variable} = row[{name}] = {to_finite}({variable})"


@lru_cache(maxsize=256)
def _compiled(text: str) -> CodeType:
    """The code of a source; kept, for lists change often and leave the conditions as they are."""
    return compile(text, "<conditions>", "exec")


class _Source:
    """Writes terms as source.

    Attributes:
        constants: by the names that the source has for them.
        columns: the variables that hold what the row has in each.
    """

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        self.columns: dict[str, str] = {}
        self._parts = 0

    def known(self, value: object) -> str:
        """The name of a constant; a finite number or a truth value as it is written."""
        if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
            return repr(value)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        return name

    def column(self, name: str) -> str:
        """The variable of a column."""
        return self.columns.setdefault(name, f"column_{len(self.columns)}")

    def of(self, term: Term, depth: int = 0) -> str:
        """The source of a term."""
        match term:
            case Read(name):
                return self.column(name)
            case Literal(value):
                return self.known(value)
            case Among(Read(name), values):
                return self._unless_null(name, f"in {self.known(frozenset(values))}")
            case Apply(operation, (Read(name), Literal(value))) if operation in _SIGNS:
                return self._unless_null(name, f"{_SIGNS[operation]} {self.known(value)}")
            case Apply("IS NULL", (Read(name),)):
                return f"({self.column(name)} is None)"
            case Apply("IS NOT NULL", (Read(name),)):
                return f"({self.column(name)} is not None)"
            case Apply("AND" | "OR") if depth < _DEEPEST:
                return self._joined(term, depth)
            case Apply(operation, (left, right)) if operation in _COMPARED and depth < _DEEPEST:
                return self._of_two(_COMPARED[operation], left, right, depth)
            case Apply(operation, (left, right)) if operation in _COMPUTED and depth < _DEEPEST:
                return self._of_two(_COMPUTED[operation], left, right, depth)
            case Apply("coalesce", (first, second)) if depth < _DEEPEST:
                value, name = self.of(first, depth + 1), self._part()
                return f"({name} if ({name} := {value}) is not None else {self.of(second, depth + 1)})"
        return f"{self.known(term.row(OPERATIONS))}(row)"

    def _unless_null(self, name: str, rest: str) -> str:
        variable = self.column(name)
        return f"(None if {variable} is None else {variable} {rest})"

    def _part(self) -> str:
        """A new variable for a part."""
        self._parts += 1
        return f"part_{self._parts}"

    def _of_two(self, form: str, left: Term, right: Term, depth: int) -> str:
        """What is null where one of two parts is; each is computed once."""
        begins, names = [], []
        for part in (left, right):
            value = self.of(part, depth + 1)
            if isinstance(part, Read | Literal):
                names.append(value)
            else:
                names.append(self._part())
                value = f"({names[-1]} := {value})"
            if not isinstance(part, Literal):
                begins.append(f"{value} is None")
        computed = form.format(*names)
        return f"(None if {' or '.join(begins)} else {computed})" if begins else f"({computed})"

    def _joined(self, term: Apply, depth: int) -> str:
        """Parts are evaluated in their order until one decides; then, a null among them makes it null."""
        ends, otherwise, decides = ("False", "True", " is False") if term.operation == "AND" else ("True", "False", "")
        parts = [self.of(part, depth + 1) for part in term.joined()]
        names = [self._part() for _ in parts]
        decided = " or ".join(f"({name} := {part}){decides}" for name, part in zip(names, parts, strict=True))
        null = " or ".join(f"{name} is None" for name in names)
        return f"({ends} if {decided} else None if {null} else {otherwise})"
