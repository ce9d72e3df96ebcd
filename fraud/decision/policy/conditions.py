"""Evaluates many conditions over a batch, or over one row, at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision.policy.evaluation import Bools
from fraud.decision.policy.lists import CompiledList, event_times_ms
from fraud.decision.policy.variables import columns_of, values_of_batch, values_of_row
from fraud.decision.rules.expression import Expression, ListUse
from fraud.decision.rules.fields import Fields, Kind
from fraud.decision.rules.terms import Apply, Read, Term, apply
from fraud.decision.rules.together import OfAll, finite, together
from fraud.records import Row
from fraud.records.schema import milliseconds_of

_TRUE, _UNKNOWN = 1, 2
"""Codes of a condition's value; false is 0."""


@dataclass(frozen=True)
class Conditions:
    """Checked conditions with what they read.

    Attributes:
        expressions: the conditions.
        fields: all fields that exist, with their kinds.
        lists: the lists that conditions may ask.
    """

    expressions: Sequence[Expression]
    fields: Fields
    lists: Sequence[CompiledList]

    @cached_property
    def columns(self) -> list[str]:
        """The columns that a batch must have, besides `event_time`."""
        return sorted(columns_of(self._names, self.fields))

    @cached_property
    def _names(self) -> list[str]:
        """The fields that are read."""
        return sorted({name for expression in self.expressions for name in expression.fields})

    def evaluate(self, batch: pa.RecordBatch | pa.Table) -> tuple[Bools, Bools]:
        """Where each condition is true, and where it is null: two matrices (conditions, n)."""
        codes = self._frame(batch).select(self._codes).to_numpy(order="fortran").T
        codes = codes.reshape(len(self.expressions), batch.num_rows)
        return codes == _TRUE, codes == _UNKNOWN

    def of_row(self, row: Row) -> tuple[bool | None, ...]:
        """The value of each condition for a single row."""
        return self._for_row(self._values(row))

    @cached_property
    def _for_row(self) -> OfAll:
        """The conditions for single rows; what several of them begin with is computed once."""
        terms = [expression.term for expression in self.expressions]
        begins = Counter(guard for guard in map(_guard, terms) if guard is not None)
        names = {guard: f"guard {number}" for number, (guard, times) in enumerate(begins.items()) if times > 1}
        rewritten = [
            apply("AND", Read(names[guard]), *term.parts[1:])
            if isinstance(term, Apply) and (guard := _guard(term)) in names
            else term
            for term in terms
        ]
        return together(rewritten, {name: guard for guard, name in names.items()}, self._of_kind[Kind.NUMBER])

    @cached_property
    def _lists_by_name(self) -> dict[str, CompiledList]:
        return {entities.name: entities for entities in self.lists}

    def _values(self, row: Row) -> dict[str, Any]:
        """The values of a row as `_for_row` reads them: times as milliseconds."""
        values = dict(zip(self._names, map(row.get, self._names), strict=True))
        if self._variables:
            values.update(values_of_row(row, self._variables, self.fields))
        for name in self._of_kind[Kind.TIME]:
            time = values[name]
            if time is not None:
                values[name] = milliseconds_of(time)
        if self._list_uses:
            event_ms = milliseconds_of(row["event_time"])
            for use in self._list_uses:
                value = values[use.field]
                if value is not None and self.fields[use.field].kind is Kind.NUMBER:
                    value = finite(value)
                known = None if value is None else self._lists_by_name[use.list_name].has(value, event_ms)
                values[use.column] = known
        return values

    @cached_property
    def _variables(self) -> list[str]:
        return [name for name in self._names if self.fields[name].is_variable]

    @cached_property
    def _of_kind(self) -> dict[Kind, list[str]]:
        return {kind: [name for name in self._names if self.fields[name].kind is kind] for kind in Kind}

    @cached_property
    def _codes(self) -> list[pl.Expr]:
        """Each condition as a small integer, so that one matrix takes all of them over to numpy."""
        codes = (expression.polars.cast(pl.Int8).fill_null(_UNKNOWN) for expression in self.expressions)
        return [code.alias(str(number)) for number, code in enumerate(codes)]

    @cached_property
    def _list_uses(self) -> list[ListUse]:
        return sorted({use for expression in self.expressions for use in expression.lists})

    def _frame(self, batch: pa.RecordBatch | pa.Table) -> pl.DataFrame:
        found = values_of_batch(batch, self._names, self.fields)
        arrays = [_normal(column, self.fields[name].kind) for name, column in found.items()]
        for use in self._list_uses:
            values = found[use.field]
            answers = self._lists_by_name[use.list_name].matches(values, event_times_ms(batch))
            arrays.append(pa.array(answers, mask=pc.is_null(values).to_numpy(zero_copy_only=False)))
        names = [*found, *(use.column for use in self._list_uses)]
        return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, names=names))


def _guard(term: Term) -> Term | None:
    """What a condition begins with, where that is itself made of conditions."""
    if not (isinstance(term, Apply) and term.operation == "AND"):
        return None
    first = term.parts[0]
    return first if isinstance(first, Apply) and first.operation in ("AND", "OR") else None


def as_columns(given: Sequence[bool | None]) -> tuple[Bools, Bools]:
    """The values of conditions for one row as columns have them: where they are true, where null, (conditions, 1)."""
    codes = np.array([_UNKNOWN if value is None else value for value in given], np.int8).reshape(-1, 1)
    return codes == _TRUE, codes == _UNKNOWN


def distinct(expressions: Iterable[Expression]) -> list[Expression]:
    """One of each text, in the order of first appearance."""
    return list({expression.text: expression for expression in expressions}.values())


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
