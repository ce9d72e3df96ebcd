"""Many conditions as one function of a row: calling a function for each of their parts would cost more than they do.

The forms that nearly all conditions are made of, a column beside a literal or a set, joined by AND and OR, are written
out as Python source, which is compiled. Whatever else stands in a condition is called as the function that its term
gives. Literals of text never become source: only numbers and truth values do.
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

OfAll = Callable[[Mapping[str, Any]], tuple[bool | None, ...]]
"""Gives the value of each condition for one row."""

_SIGNS = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_AT_ONCE = 64
"""Conditions of one function: compiling it lets no other thread run."""

_DEEPEST = 8
"""Conditions that are joined deeper than so are called: Python's parser has a limit."""


def together(terms: Sequence[Term], begins: Mapping[str, Term] | None = None) -> OfAll:
    """The function that gives the value of each condition for one row.

    Args:
        terms: the conditions.
        begins: what is computed before them, by the column that they read it from as first part of an AND.
    """
    parts = [_one_function(terms[first : first + _AT_ONCE], begins or {}) for first in range(0, len(terms), _AT_ONCE)]
    if len(parts) == 1:
        return parts[0]
    return lambda row: tuple(chain.from_iterable([part(row) for part in parts]))


def _one_function(terms: Sequence[Term], begins: Mapping[str, Term]) -> OfAll:
    source = _Source()
    firsts = {part for term in terms if isinstance(term, Apply) for part in term.parts[:1]}
    begun = [(source.column(name), source.of(term)) for name, term in begins.items() if Read(name) in firsts]
    values = [source.of(term) for term in terms]
    begun_at = {variable for variable, _ in begun}
    read = ((name, variable) for name, variable in source.columns.items() if variable not in begun_at)
    lines = [
        *(f"{variable} = row[{source.known(name)}]" for name, variable in read),
        *(f"{variable} = {value}" for variable, value in begun),
        f"return ({''.join(f'{value}, ' for value in values)})",
    ]
    exec(_compiled("\n    ".join(("def conditions(row):", *lines))), source.constants)
    return source.constants["conditions"]  # type: ignore[no-any-return]


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
        return f"{self.known(term.row(OPERATIONS))}(row)"

    def _unless_null(self, name: str, rest: str) -> str:
        variable = self.column(name)
        return f"(None if {variable} is None else {variable} {rest})"

    def _joined(self, term: Apply, depth: int) -> str:
        """Parts are evaluated in their order until one decides; then, a null among them makes it null."""
        ends, otherwise, decides = ("False", "True", " is False") if term.operation == "AND" else ("True", "False", "")
        parts = [self.of(part, depth + 1) for part in term.joined()]
        names = [f"part_{self._parts + place}" for place in range(len(parts))]
        self._parts += len(parts)
        decided = " or ".join(f"({name} := {part}){decides}" for name, part in zip(names, parts, strict=True))
        null = " or ".join(f"{name} is None" for name in names)
        return f"({ends} if {decided} else None if {null} else {otherwise})"
