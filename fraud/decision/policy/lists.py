"""Looks transactions up in lists whose entries expire in event time."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fraud.decision.policy.document import ENTITY_FIELDS, TEXT, EntityList, ListEntry, ListKind
from fraud.decision.policy.ranges import RANGED, Ranges, Span, range_of
from fraud.errors import MisconfiguredError
from fraud.records.schema import field_types
from fraud.records.transaction import Transaction

Bools = npt.NDArray[np.bool_]

_TYPES = field_types(Transaction)

_LONGEST_TEXT = 320

NEVER_MS = 2**62
"""Stands for no expiry."""


class ListedValue(NamedTuple):
    """A value or range on a list, and when it expires, UTC milliseconds."""

    value: str
    expires_ms: int

    @staticmethod
    def checked(of: str, value: str) -> Span | None:
        """What an entry stands for: the numbers of a range, or None for one value, which a transaction can have.

        Raises:
            ValueError: it is neither.
        """
        if of == TEXT:
            if not 1 <= len(value) <= _LONGEST_TEXT:
                raise ValueError(f"has {len(value):,} characters, allowed are 1 to {_LONGEST_TEXT}")
            return None
        span = range_of(of, value)
        if span is None:
            msgspec.convert(value, _TYPES[ENTITY_FIELDS[of]])
        return span


@dataclass(frozen=True)
class CompiledList:
    """A list ready for look-ups.

    Attributes:
        name: of it.
        kind: what being on it does.
        field: of the transaction, that is looked up; empty for a list of text, which has none of its own.
        of: what its entries are.
        expires_ms: when each plain value expires, UTC milliseconds.
        ranges: the entries that stand for many values; None where there are none.
        size: how many entries it has.
    """

    name: str
    kind: ListKind
    field: str
    of: str
    expires_ms: Mapping[str, int]
    ranges: Ranges | None
    size: int

    def missing_from(self, other: CompiledList) -> int:
        """How many of its plain values another list does not have."""
        return len(self.expires_ms.keys() - other.expires_ms.keys())

    def has(self, value: str | None, event_ms: int) -> bool:
        """Whether a single value is on the list at its transaction's event time."""
        if value is None:
            return False
        if event_ms < self.expires_ms.get(value, -1):
            return True
        return self.ranges is not None and event_ms < self.ranges.expiry_ms(value)

    def matches(self, values: pa.Array, event_ms: npt.NDArray[np.int64]) -> Bools:
        """Which values are on the list at their transaction's event time; null is on none.

        The shorter side is hashed, so that neither long lists nor long batches cost more than one pass.
        """
        listed = self._matches_plainly(values, event_ms)
        if self.ranges is None or not len(values):
            return listed
        coded = values.dictionary_encode()
        expiry = np.array([-1, *(self.ranges.expiry_ms(value) for value in coded.dictionary.to_pylist())], np.int64)
        place = pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False) + 1
        return np.asarray(listed | (event_ms < expiry[place]))

    def _matches_plainly(self, values: pa.Array, event_ms: npt.NDArray[np.int64]) -> Bools:
        if not self.expires_ms:
            return np.zeros(len(values), np.bool_)
        if len(self.expires_ms) > len(values):
            found = np.fromiter((self.expires_ms.get(v, -1) for v in values.to_pylist()), np.int64, len(values))
            return event_ms < found
        known = pa.array(self.expires_ms.keys(), pa.string())
        index = pc.index_in(values, value_set=known)
        expiry = np.fromiter(self.expires_ms.values(), np.int64, len(self.expires_ms))
        place = pc.fill_null(index, 0).to_numpy(zero_copy_only=False)
        found_there = pc.is_valid(index).to_numpy(zero_copy_only=False)
        return np.asarray(found_there & (event_ms < expiry[place]))


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
    entries = (ListedValue(entry.value, _expiry_ms(entry.expires)) for entry in entries_of(document, files))
    try:
        return compiled_list(document.name, document.kind, document.of, entries)
    except ValueError as error:
        raise MisconfiguredError(f"list {document.name}", str(error)) from None


def entries_of(document: EntityList, files: Mapping[str, str]) -> list[ListEntry]:
    """A list's entries with those of its file.

    Raises:
        MisconfiguredError: the file holds a bad line.
    """
    entries = [entry if isinstance(entry, ListEntry) else ListEntry(value=entry) for entry in document.entries]
    if document.file is not None:
        entries.extend(_read_entries(document.file, files[document.file]))
    return entries


def checked_list(name: str, kind: ListKind, of: str, entries: Iterable[ListedValue]) -> CompiledList:
    """The same as `compiled_list` of entries that were checked before, each value once: many of them in little time.

    Raises:
        ValueError: a value looks like a range and is none.
    """
    if of in RANGED:
        return compiled_list(name, kind, of, entries)
    expires = dict(entries)
    return CompiledList(name, kind, ENTITY_FIELDS.get(of, ""), of, expires, None, len(expires))


def compiled_list(name: str, kind: ListKind, of: str, entries: Iterable[ListedValue]) -> CompiledList:
    """Makes a list ready for look-ups. A value given twice keeps its latest expiry.

    Raises:
        ValueError: no transaction can have a value.
    """
    field, expires, spans = ENTITY_FIELDS.get(of, ""), dict[str, int](), list[tuple[Span, int]]()
    for number, (value, expires_ms) in enumerate(entries, 1):
        try:
            span = ListedValue.checked(of, value)
        except ValueError as error:
            problem = (
                f"its value number {number} is no {field or of} that a transaction can have, so it would never match"
            )
            raise ValueError(f"{problem}: {error}") from None
        if span is None:
            expires[value] = max(expires.get(value, 0), expires_ms)
        else:
            spans.append((span, expires_ms))
    size = len(expires) + len({span for span, _ in spans})
    return CompiledList(name, kind, field, of, expires, Ranges.joined(of, spans) if spans else None, size)


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
