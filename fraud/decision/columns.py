"""Transactions and verdicts as Arrow columns: how the decision core reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraud.decision.policy.evaluation import Bools, Floats, Outcomes
from fraud.decision.policy.variables import columns_of, values_of_batch
from fraud.decision.record import VERDICT_FIELDS, Outcome
from fraud.decision.rules.fields import Fields

VERDICT_SCHEMA = pa.schema(VERDICT_FIELDS)

_OUTCOME_LABELS = pa.array([outcome.label for outcome in Outcome])


def some(batch: pa.RecordBatch, rows: Any) -> pa.RecordBatch:
    """The transactions at some places."""
    return batch.take(pa.array(rows))


def values(batch: pa.RecordBatch, rows: Any, names: Sequence[str], fields: Fields) -> list[Mapping[str, Any]]:
    """What transactions at some places have in some fields."""
    if not names:
        return [{} for _ in rows]
    wanted = batch.select(sorted(columns_of(names, fields) & set(batch.schema.names))).take(pa.array(rows))
    return pa.table(values_of_batch(wanted, names, fields)).to_pylist()  # type: ignore[no-any-return]


def value(batch: pa.RecordBatch, row: int, name: str) -> Any:
    """What a transaction has in a column; None where there is none."""
    place = batch.schema.get_field_index(name)
    return None if place < 0 else batch.column(place)[row].as_py()


def labels(outcomes: Outcomes) -> pa.Array:
    """The stored names of outcomes."""
    return _OUTCOME_LABELS.take(pa.array(outcomes))


def named(places: Any, names: Sequence[str]) -> pa.Array:
    """The name at each place (n)."""
    return pa.array(names, pa.string()).take(pa.array(places))


def texts(found: Sequence[Sequence[str]]) -> pa.Array:
    """Texts of each transaction."""
    return pa.array(found, pa.list_(pa.string()))


def repeated(value: str | None, times: int) -> pa.Array:
    """The same text for all."""
    return pa.nulls(times, pa.string()) if value is None else pa.repeat(value, times)


def names_where(marks: Bools, names: Sequence[str]) -> pa.Array:
    """For each column of a (names, n) matrix the list of the names that it marks, in their order.

    >>> names_where(np.array([[True, False], [True, True]]), ["a", "b"]).to_pylist()
    [['a', 'b'], ['b']]
    """
    known = pa.array(names, pa.string())
    if not marks.any():
        return pa.ListArray.from_arrays(np.zeros(marks.shape[1] + 1, np.int32), known.slice(0, 0))
    rows, marked = np.nonzero(marks.T)
    counts = np.bincount(rows, minlength=marks.shape[1])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), known.take(pa.array(marked)))


def verdicts(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The verdicts from the values of `VERDICT_FIELDS` by name."""
    return pa.RecordBatch.from_arrays([columns[field.name] for field in VERDICT_SCHEMA], schema=VERDICT_SCHEMA)


def floats(found: pa.Array) -> Floats:
    """Scores as the policy takes them: NaN for none."""
    return np.asarray(pc.fill_null(found.cast(pa.float64()), np.nan))
