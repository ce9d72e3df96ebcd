"""Archived tables as today's code reads them: the one place that knows what an older or newer writer left differently.

A nullable column that an object lacks is read as null: the field or the feature did not exist when it was written. A
required column that it lacks, and a column of another type, are refused in one line. Columns that today's schema does
not know are there for who asks for all that is stored, and in nobody else's way. docs/data-contract.md has the rules.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.layout import ArchiveKind, kind_of_key
from fraud.decision.record import decision_schema
from fraud.errors import MisconfiguredError
from fraud.features import SHIPPED, Catalogue
from fraud.records.arrival import ARRIVAL_FIELDS, RAW_FIELD
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA

ARCHIVE_SCHEMAS = {
    ArchiveKind.DECISIONS: decision_schema(SHIPPED.columns),
    ArchiveKind.LABELS: pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA, RAW_FIELD]),
    ArchiveKind.DEAD_LETTERS: DEAD_LETTER_SCHEMA,
}
"""What the job archives today, by kind; of decisions, without the features that a deployment declares."""

TRANSACTION_COLUMNS = (*(field.name for field in ARRIVAL_FIELDS), *TRANSACTION_SCHEMA.names)
"""Columns of an archived decision that are folded again: its arrival and its transaction."""

LABEL_COLUMNS = (*(field.name for field in ARRIVAL_FIELDS), *LABEL_SCHEMA.names, RAW_FIELD.name)
"""Columns of an archived label that are folded again; its bytes go with it where it has to wait."""


def decision_table(
    transactions: pa.RecordBatch, verdicts: pa.RecordBatch, batch: int, decided_at: pa.Array, catalogue: Catalogue
) -> pa.Table:
    """Decisions as the archive keeps them.

    Args:
        transactions: with arrival, features and raw bytes.
        verdicts: on the same rows, of `fraud.decision.decide.decide`.
        batch: number of the batch, as the archive has it.
        decided_at: when each was decided.
        catalogue: whose features they have.
    """
    schema = decision_schema(catalogue.columns)
    columns = {name: part[name] for part in (transactions, verdicts) for name in part.schema.names}
    columns["batch_id"] = pa.repeat(pa.scalar(batch, pa.int64()), transactions.num_rows)
    columns["decided_at"] = decided_at
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


_WAY_OUT = "read it with the version that wrote it, or move it out of the archive (docs/data-contract.md)"


def today(kind: ArchiveKind, columns: Sequence[str]) -> pa.Schema:
    """Some columns of a kind, in the order given, as today's schema has them.

    What a decision has beyond are features that were declared, and whether their windows were whole.
    """
    known = {field.name: field for field in ARCHIVE_SCHEMAS[kind]}
    return pa.schema([known.get(name) or declared_field(name) for name in columns])


def declared_field(name: str) -> pa.Field:
    """The column of a feature that a deployment declares, or of whether the windows of its entity were whole.

    >>> declared_field("customer_count_24h").type, declared_field("exact_customer").type
    (DataType(double), DataType(bool))
    """
    return pa.field(name, pa.bool_() if name.startswith("exact_") else pa.float64())


def parse_columns(data: bytes, key: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of an archived object, as today's schema has them.

    Args:
        data: its Parquet bytes.
        key: where it lies in the archive.
        columns: of today's schema of its kind; the table has them in this order.

    Raises:
        MisconfiguredError: see `conform`.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    stored = set(file.schema_arrow.names)
    return conform(file.read([name for name in columns if name in stored]), today(kind_of_key(key), columns), key)


def conform(stored: pa.Table, wanted: pa.Schema, source: str) -> pa.Table:
    """A stored table with the columns, their order and their types of another schema; nulls for what it lacks.

    Args:
        stored: as an older or newer writer left it.
        wanted: what the reader knows.
        source: the object, for messages.

    Raises:
        MisconfiguredError: naming the object and the column that is required and missing, or of another type.

    >>> wanted = pa.schema([pa.field("score", pa.float64()), pa.field("id", pa.string(), nullable=False)])
    >>> conform(pa.table({"id": ["t-1"], "later": [1]}), wanted, "a.parquet").to_pylist()
    [{'score': None, 'id': 't-1'}]
    >>> conform(pa.table({"score": [0.5]}), wanted, "a.parquet")
    Traceback (most recent call last):
    fraud.errors.MisconfiguredError: a.parquet: has no column id, which is required; read it with the version that \
wrote it, or move it out of the archive (docs/data-contract.md)
    """
    require_readable(stored.schema, wanted, source)
    there = set(stored.schema.names)
    columns = [
        _cast(stored[field.name], field, source) if field.name in there else pa.nulls(stored.num_rows, field.type)
        for field in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def require_readable(stored: pa.Schema, wanted: pa.Schema, source: str) -> None:
    """Refuses a stored table that lacks a required column or has one of another type; see `conform`."""
    there = {field.name: field.type for field in stored}
    for field in wanted:
        if field.name not in there:
            if not field.nullable:
                raise MisconfiguredError(source, f"has no column {field.name}, which is required; {_WAY_OUT}")
        elif not _holds(field.type, there[field.name]):
            raise _other_type(source, field, there[field.name])


def _cast(column: pa.ChunkedArray, field: pa.Field, source: str) -> pa.ChunkedArray:
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid:  # a value that the type cannot hold, as half a millisecond
        raise _other_type(source, field, column.type) from None


def _other_type(source: str, field: pa.Field, found: pa.DataType) -> MisconfiguredError:
    return MisconfiguredError(source, f"its column {field.name} is {found}, not {field.type}; {_WAY_OUT}")


def _holds(wanted: pa.DataType, stored: pa.DataType) -> bool:
    """Whether values of a stored type mean the same in the wanted one: another width or unit, never another kind."""
    if wanted == stored or pa.types.is_null(stored):
        return True
    if pa.types.is_dictionary(stored):
        return _holds(wanted, stored.value_type)
    if pa.types.is_list(wanted) and (pa.types.is_list(stored) or pa.types.is_large_list(stored)):
        return _holds(wanted.value_type, stored.value_type)
    return any(_is(wanted, kind) and _is(stored, held) for kind, held in _ALIKE)


def _is(arrow: pa.DataType, kind: tuple[Callable[[pa.DataType], bool], ...]) -> bool:
    return any(test(arrow) for test in kind)


def _is_instant(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(arrow)) and arrow.tz is not None


_INTEGER = (pa.types.is_integer,)
_NUMBER = (pa.types.is_integer, pa.types.is_floating)
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_ALIKE = (
    (_INTEGER, _INTEGER),
    ((pa.types.is_floating,), _NUMBER),
    ((_is_instant,), (_is_instant,)),
    (_TEXT, _TEXT),
    (_BYTES, _BYTES),
)
"""A wanted kind beside the stored kinds that it can hold."""
