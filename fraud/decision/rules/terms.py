"""A checked expression as a tree of terms, and the two executors that follow from it: over columns, and for one row.

Each operation has its two meanings side by side, as builders: from the parts as Polars expressions to theirs together,
and from functions of a row to one. Both give the same bits (`tests/property/test_row_decisions.py`); only the sign of a
zero may differ, which no condition can see. A row is a mapping from columns to values: numbers are finite floats, times
milliseconds; None is null.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

OfRow = Callable[[Mapping[str, Any]], Any]
"""Gives the value of a term for one row."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        columns: makes the Polars expression from those of its parts.
        row: makes the function of a row from those of its parts.
    """

    columns: Callable[..., pl.Expr]
    row: Callable[..., OfRow]


class Literal(NamedTuple):
    """A value as it was written."""

    value: str | float | bool

    def columns(self, operations: Mapping[str, Operation]) -> pl.Expr:  # noqa: ARG002 - as all terms
        """As a Polars expression."""
        return pl.lit(self.value)

    def row(self, operations: Mapping[str, Operation]) -> OfRow:  # noqa: ARG002 - as all terms
        """As a function of a row."""
        value = self.value
        return lambda _: value


class Read(NamedTuple):
    """The value of a column."""

    column: str

    def columns(self, operations: Mapping[str, Operation]) -> pl.Expr:  # noqa: ARG002 - as all terms
        """As a Polars expression."""
        return pl.col(self.column)

    def row(self, operations: Mapping[str, Operation]) -> OfRow:  # noqa: ARG002 - as all terms
        """As a function of a row."""
        return itemgetter(self.column)


class Among(NamedTuple):
    """Whether a term has one of some values."""

    term: Term
    values: tuple[str | float | bool, ...]

    def columns(self, operations: Mapping[str, Operation]) -> pl.Expr:
        """As a Polars expression."""
        return self.term.columns(operations).is_in(list(self.values))

    def row(self, operations: Mapping[str, Operation]) -> OfRow:
        """As a function of a row."""
        values = frozenset(self.values)
        if not isinstance(self.term, Read):
            return strict(values.__contains__)(self.term.row(operations))
        column = self.term.column
        return lambda row: None if (value := row[column]) is None else value in values


class Apply(NamedTuple):
    """An operation applied to terms.

    Attributes:
        operation: its name among the operations.
        parts: in order.
    """

    operation: str
    parts: tuple[Term, ...]

    def columns(self, operations: Mapping[str, Operation]) -> pl.Expr:
        """As a Polars expression."""
        return operations[self.operation].columns(*(part.columns(operations) for part in self.parts))

    def row(self, operations: Mapping[str, Operation]) -> OfRow:
        """As a function of a row."""
        if (compared := _COMPARED.get(self.operation)) is not None:
            left, right = self.parts
            if isinstance(left, Read) and isinstance(right, Literal):
                return _with_literal(left.column, compared, right.value)
        return operations[self.operation].row(*(part.row(operations) for part in self.joined()))

    def joined(self) -> Iterator[Term]:
        """The parts; of conditions joined alike, one inside the other, all of them: the order stays, and the value."""
        for part in self.parts:
            if self.operation in ("AND", "OR") and isinstance(part, Apply) and part.operation == self.operation:
                yield from part.joined()
            else:
                yield part


Term = Literal | Read | Among | Apply

_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""What comparisons are between values that are numbers: neither a column nor a literal is ever not a number."""


def _with_literal(column: str, compared: Callable[[Any, Any], Any], literal: Any) -> OfRow:
    """Compares a column with a literal: nearly all that conditions do."""
    return lambda row: None if (value := row[column]) is None else compared(value, literal)


def apply(operation: str, *parts: Term) -> Apply:
    """An operation applied to terms."""
    return Apply(operation, parts)


def strict(function: Callable[..., Any]) -> Callable[..., OfRow]:
    """The builder of an operation that is null where one of its parts is."""

    def build(*parts: OfRow) -> OfRow:
        def of_row(row: Mapping[str, Any]) -> Any:
            values = [part(row) for part in parts]
            return None if None in values else function(*values)

        def of_one(row: Mapping[str, Any]) -> Any:
            value = only(row)
            return None if value is None else function(value)

        def of_two(row: Mapping[str, Any]) -> Any:
            left, right = first(row), second(row)
            return None if left is None or right is None else function(left, right)

        if len(parts) == 1:
            (only,) = parts
            return of_one
        if len(parts) == 2:
            first, second = parts
            return of_two
        return of_row

    return build


def _all(*parts: OfRow) -> OfRow:
    def of_row(row: Mapping[str, Any]) -> bool | None:
        known: bool | None = True
        for part in parts:
            value = part(row)
            if value is False:
                return False
            if value is None:
                known = None
        return known

    return of_row


def _any(*parts: OfRow) -> OfRow:
    def of_row(row: Mapping[str, Any]) -> bool | None:
        known: bool | None = False
        for part in parts:
            value = part(row)
            if value:
                return True
            known = None if value is None else known
        return known

    return of_row


def _first_not_null(*parts: OfRow) -> OfRow:
    return lambda row: next((value for part in parts if (value := part(row)) is not None), None)


def _case(*parts: OfRow) -> OfRow:
    """Conditions and values in turn; an odd one at the end is what holds otherwise."""
    branches = list(zip(parts[::2], parts[1::2], strict=False))
    otherwise: OfRow = parts[-1] if len(parts) % 2 else lambda _: None

    def of_row(row: Mapping[str, Any]) -> Any:
        for condition, value in branches:
            if condition(row):
                return value(row)
        return otherwise(row)

    return of_row


def _case_columns(*parts: pl.Expr) -> pl.Expr:
    chain: Any = pl
    for condition, value in zip(parts[::2], parts[1::2], strict=False):
        chain = chain.when(condition).then(value)
    return chain.otherwise(parts[-1]) if len(parts) % 2 else chain  # type: ignore[no-any-return]


def _balanced(join: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[..., pl.Expr]:
    """Joins associatively in a tree of least depth: a chain would cost Polars the square of its length."""

    def build(*given: pl.Expr) -> pl.Expr:
        parts = list(given)
        while len(parts) > 1:
            pairs = [join(*pair) for pair in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[len(pairs) * 2 :]
        return parts[0]

    return build


def _divisor(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """What to divide by: null for zero, and spread over the rows wherever the left side is.

    By a single value, Polars multiplies with its reciprocal in columns longer than one: other bits than a division.
    """
    nothing = (left == 0.0).cast(pl.Float64) * 0.0
    return right.replace(0.0, None) + nothing


def divided(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """A quotient as columns; null where the right side is zero."""
    return left / _divisor(left, right)


def _remainder(left: float, right: float) -> float | None:
    if right == 0.0:
        return None
    times = left / right
    return left - (math.floor(times) if math.isfinite(times) else times) * right


# An order without holes: not a number, which arithmetic can give, equals itself and is greater than all others.
# Texts, times and truth values are never so.


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right or (left != left and right != right))


def _less(left: Any, right: Any) -> bool:
    return bool(left < right or (right != right and left == left))


def _at_most(left: Any, right: Any) -> bool:
    return bool(left <= right or right != right)


def _between(value: OfRow, low: OfRow, high: OfRow) -> OfRow:
    at_most = strict(_at_most)
    return _all(at_most(low, value), at_most(value, high))


LANGUAGE: dict[str, Operation] = {
    "AND": Operation(_balanced(operator.and_), _all),
    "OR": Operation(_balanced(operator.or_), _any),
    "NOT": Operation(operator.invert, strict(operator.not_)),
    "IS NULL": Operation(lambda x: x.is_null(), lambda part: lambda row: part(row) is None),
    "IS NOT NULL": Operation(lambda x: x.is_not_null(), lambda part: lambda row: part(row) is not None),
    "BETWEEN": Operation(lambda x, low, high: x.is_between(low, high), _between),
    "CASE": Operation(_case_columns, _case),
    "coalesce": Operation(pl.coalesce, _first_not_null),
    "=": Operation(operator.eq, strict(_equal)),
    "<>": Operation(operator.ne, strict(lambda left, right: not _equal(left, right))),
    "<": Operation(operator.lt, strict(_less)),
    "<=": Operation(operator.le, strict(_at_most)),
    ">": Operation(operator.gt, strict(lambda left, right: _less(right, left))),
    ">=": Operation(operator.ge, strict(lambda left, right: _at_most(right, left))),
    "+": Operation(operator.add, strict(operator.add)),
    "-": Operation(operator.sub, strict(operator.sub)),
    "*": Operation(operator.mul, strict(operator.mul)),
    "/": Operation(divided, strict(lambda left, right: left / right if right else None)),
    "%": Operation(lambda left, right: left % _divisor(left, right), strict(_remainder)),
    "negative": Operation(operator.neg, strict(operator.neg)),
}
"""The operations of the language itself; those that are called by name stand in `fraud.decision.rules.functions`."""
