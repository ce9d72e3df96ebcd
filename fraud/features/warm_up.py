"""Compiles the kernels ahead: once, in one process, before many workers would each do it at the same time."""

from __future__ import annotations

import pyarrow as pa

from fraud.features.state import EntityState
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_FIELDS
from fraud.records.transaction import TRANSACTION_SCHEMA

_COUNT = 300
"""Of different cards: more than a state has room for when it begins, so that making room is compiled, too."""
_TEXTS = {"transaction_type": "purchase", "merchant_country": "DE", "channel": "pos"}


def compile_kernels() -> None:
    """Folds made-up transactions, so that every kernel lies compiled in numba's cache on disk."""
    path = FeaturePath()
    path.advance(Records(_transactions()))
    for state in path.states.values():
        copy = EntityState()
        for piece in (*state.dump(), state.next_slice(1, 0)[0]):
            copy.load(piece)  # the second time in place of what is there
        copy.is_sound()


def _transactions() -> pa.RecordBatch:
    schema = pa.schema([*ARRIVAL_FIELDS, *TRANSACTION_SCHEMA])
    arrays = [pa.array([_value(field, number) for number in range(_COUNT)], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _value(field: pa.Field, number: int) -> object:
    if field.nullable:
        return None
    if pa.types.is_string(field.type):
        return _TEXTS.get(field.name, str(number))
    return 0
