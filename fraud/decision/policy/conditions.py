"""Evaluates many conditions over a batch, or over one row, at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision.policy.evaluation import Bools
from fraud.decision.policy.lists import CompiledList, event_times_ms, flat
from fraud.decision.rules.expression import Expression, ListUse
from fraud.decision.rules.fields import Fields, Kind
from fraud.decision.rules.terms import OfRow
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
        read = {name for expression in self.expressions for name in expression.fields}
        return sorted(read)

    def evaluate(self, batch: pa.RecordBatch | pa.Table | Row) -> tuple[Bools, Bools]:
        """Where each condition is true, and where it is null: two matrices (conditions, n), n = 1 for a row."""
        if isinstance(batch, Row):
            row = self._values(batch)
            given = [condition(row) for condition in self._of_row]
            codes = np.array([[_UNKNOWN if value is None else value] for value in given], np.int8).reshape(-1, 1)
        else:
            codes = self._frame(batch).select(self._codes).to_numpy(order="fortran").T
            codes = codes.reshape(len(self.expressions), batch.num_rows)
        return codes == _TRUE, codes == _UNKNOWN

    @cached_property
    def _of_row(self) -> list[OfRow]:
        return [expression.of_row for expression in self.expressions]

    @cached_property
    def _lists_by_name(self) -> dict[str, CompiledList]:
        return {entities.name: entities for entities in self.lists}

    def _values(self, row: Row) -> dict[str, Any]:
        """The values of a row as conditions read them."""
        values = {name: _NORMAL[self.fields[name].kind](row.get(name)) for name in self.columns}
        if self._list_uses:
            event_ms = milliseconds_of(row["event_time"])
            for use in self._list_uses:
                value = row.get(use.field)
                known = None if value is None else self._lists_by_name[use.list_name].has(value, event_ms)
                values[use.column] = known
        return values

    @cached_property
    def _codes(self) -> list[pl.Expr]:
        """Each condition as a small integer, so that one matrix takes all of them over to numpy."""
        codes = (expression.polars.cast(pl.Int8).fill_null(_UNKNOWN) for expression in self.expressions)
        return [code.alias(str(number)) for number, code in enumerate(codes)]

    @cached_property
    def _list_uses(self) -> list[ListUse]:
        return sorted({use for expression in self.expressions for use in expression.lists})

    def _frame(self, batch: pa.RecordBatch | pa.Table) -> pl.DataFrame:
        selected = batch.select(self.columns)
        arrays = [
            _normal(flat(column), self.fields[name].kind)
            for column, name in zip(selected.columns, self.columns, strict=True)
        ]
        for use in self._list_uses:
            values = flat(batch[use.field])
            answers = self._lists_by_name[use.list_name].matches(values, event_times_ms(batch))
            arrays.append(pa.array(answers, mask=pc.is_null(values).to_numpy(zero_copy_only=False)))
        names = [*self.columns, *(use.column for use in self._list_uses)]
        return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, names=names))


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


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


_NORMAL: dict[Kind, Callable[[Any], Any]] = {
    Kind.NUMBER: _finite,
    Kind.TEXT: lambda value: value,
    Kind.BOOL: lambda value: value,
    Kind.TIME: lambda value: None if value is None else milliseconds_of(value),
}
"""The same of a single value: what a condition reads of it."""
