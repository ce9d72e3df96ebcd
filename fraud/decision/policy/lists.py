"""Looks transactions up in lists whose entries expire in event time."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fraud.decision.policy.document import ENTITY_FIELDS, EntityList, ListEntry, ListKind
from fraud.errors import MisconfiguredError
from fraud.records.schema import field_types
from fraud.records.transaction import Transaction

Bools = npt.NDArray[np.bool_]

_TYPES = field_types(Transaction)

NEVER_MS = 2**62
"""Stands for no expiry."""


@dataclass(frozen=True)
class CompiledList:
    """A list ready for look-ups: when each value expires, UTC milliseconds."""

    name: str
    kind: ListKind
    field: str
    of: str
    expires_ms: Mapping[str, int]

    def has(self, value: str | None, event_ms: int) -> bool:
        """Whether a single value is on the list at its transaction's event time."""
        return value is not None and event_ms < self.expires_ms.get(value, -1)

    def matches(self, values: pa.Array, event_ms: npt.NDArray[np.int64]) -> Bools:
        """Which values are on the list at their transaction's event time; null is on none.

        The shorter side is hashed, so that neither long lists nor long batches cost more than one pass.
        """
        if not self.expires_ms:
            return np.zeros(len(values), np.bool_)
        if len(self.expires_ms) > len(values):
            found = np.fromiter((self.expires_ms.get(v, -1) for v in values.to_pylist()), np.int64, len(values))
            return event_ms < found
        known = pa.array(self.expires_ms.keys(), pa.string())
        index = pc.index_in(values, value_set=known)
        expiry = np.fromiter(self.expires_ms.values(), np.int64, len(self.expires_ms))
        place = pc.fill_null(index, 0).to_numpy(zero_copy_only=False)
        listed = pc.is_valid(index).to_numpy(zero_copy_only=False)
        return np.asarray(listed & (event_ms < expiry[place]))


def event_times_ms(batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """Event times in UTC milliseconds."""
    return np.asarray(batch["event_time"].cast(pa.int64()), np.int64)


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, without copying where it is one."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def compile_list(document: EntityList, files: Mapping[str, str]) -> CompiledList:
    """Joins a list's entries with those of its file. A value given twice keeps its latest expiry.

    Raises:
        MisconfiguredError: the file is not in the bundle or holds a bad line, or no transaction can have a value.
    """
    entries = [entry if isinstance(entry, ListEntry) else ListEntry(value=entry) for entry in document.entries]
    if document.file is not None:
        entries.extend(_read_entries(document.file, files[document.file]))
    field, expires = ENTITY_FIELDS[document.of], dict[str, int]()
    for number, entry in enumerate(entries, 1):
        try:
            msgspec.convert(entry.value, _TYPES[field])
        except msgspec.ValidationError as error:
            problem = f"its value number {number} is no {field} that a transaction can have, so it would never match"
            raise MisconfiguredError(f"list {document.name}", f"{problem}: {error}") from None
        expires[entry.value] = max(expires.get(entry.value, 0), _expiry_ms(entry.expires))
    return CompiledList(document.name, document.kind, field, document.of, expires)


def _expiry_ms(expires: dt.datetime | None) -> int:
    return NEVER_MS if expires is None else int(expires.timestamp() * 1000)


def _read_entries(name: str, text: str) -> Iterable[ListEntry]:
    rows = csv.DictReader(io.StringIO(text))
    if "value" not in (rows.fieldnames or []):
        raise MisconfiguredError(name, "the first line must name the columns: value, expires, note")
    for row in rows:
        given = {key: value for key, value in row.items() if value}
        try:
            yield ListEntry.model_validate(given)
        except ValidationError as error:
            raise MisconfiguredError(f"{name}: line {rows.line_num}", error.errors()[0]["msg"]) from None
