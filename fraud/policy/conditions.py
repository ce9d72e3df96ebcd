"""Evaluates many conditions over a batch at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fraud.policy.judgement import Bools
from fraud.policy.lists import CompiledList
from fraud.rules.expression import Expression, ListUse
from fraud.rules.fields import Fields, Kind

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

    def evaluate(self, batch: pa.RecordBatch | pa.Table) -> tuple[Bools, Bools]:
        """Where each condition is true, and where it is null: two matrices (conditions, n)."""
        codes = self._frame(batch).select(self._codes).to_numpy(order="fortran").T
        codes = codes.reshape(len(self.expressions), batch.num_rows)
        return codes == _TRUE, codes == _UNKNOWN

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
        by_name = {entities.name: entities for entities in self.lists}
        for use in self._list_uses:
            values = flat(batch[use.field])
            answers = by_name[use.list_name].matches(values, event_times_ms(batch))
            arrays.append(pa.array(answers, mask=pc.is_null(values).to_numpy(zero_copy_only=False)))
        names = [*self.columns, *(use.column for use in self._list_uses)]
        return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, names=names))


def distinct(expressions: Iterable[Expression]) -> list[Expression]:
    """One of each text, in the order of first appearance."""
    return list({expression.text: expression for expression in expressions}.values())


def event_times_ms(batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """Event times in UTC milliseconds."""
    return np.asarray(batch["event_time"].cast(pa.int64()), np.int64)


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without copying where it is one."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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
