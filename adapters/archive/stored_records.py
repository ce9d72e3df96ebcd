"""Records that earlier attempts have stored, looked up when they are read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, erased_prefix, kind_of_key
from adapters.archive.tables import ARCHIVE_SCHEMAS
from fraud.records import Records
from fraud.records.answered import ANSWERED_FIELD
from fraud.records.arrival import ARRIVAL_FIELDS, RAW_FIELD
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.records.fate import places, ranges
from fraud.records.label import LABEL_SCHEMA
from fraud.records.transaction import TRANSACTION_SCHEMA

Ranges = Mapping[str, tuple[str, str]]
"""The first and the last sequence number of each `stream/shard`."""

_DECODED = {
    ArchiveKind.DECISIONS: pa.schema([*ARRIVAL_FIELDS, *TRANSACTION_SCHEMA, RAW_FIELD, ANSWERED_FIELD]),
    ArchiveKind.LABELS: pa.schema([*ARRIVAL_FIELDS, *LABEL_SCHEMA, RAW_FIELD]),
    ArchiveKind.DEAD_LETTERS: DEAD_LETTER_SCHEMA,
}


class StoredRecords:
    """The records of some objects of the archive.

    Args:
        archive: holds the objects.
        objects: what each of them holds, by key.
    """

    def __init__(self, archive: Archive, objects: Mapping[str, Ranges]) -> None:
        self._archive = archive
        self._objects = {key: _numbers(held) for key, held in objects.items()}
        self._read = lru_cache(maxsize=256)(self._read_object)

    def among(self, records: Records) -> dict[ArchiveKind, pa.Table]:
        """Those of the records given that are stored, as they are stored; by kind, with today's columns.

        Raises:
            MisconfiguredError: an object cannot be read by this version (`adapters.archive.tables.conform`).
        """
        known = pa.chunked_array([places(part) for _, part in records.stored.kinds()], pa.string())
        found: dict[ArchiveKind, list[pa.Table]] = {}
        for key in self._near(records):
            table = self._read(key)
            rows = table.filter(pc.is_in(places(table), known))
            if rows.num_rows:
                found.setdefault(kind_of_key(key), []).append(rows)
        return {kind: pa.concat_tables(tables) for kind, tables in found.items()}

    def erased(self, records: Records) -> pa.Array:
        """Places of records that were stored and erased since, of the objects that may hold some of the records given.

        To be asked after `among`: an erasure is noted before an object is rewritten, so that what an object that was
        read lacks is noted by then.
        """
        notes = (note for key in self._near(records) for note in self._archive.keys(erased_prefix(key)))
        gone = [place for note in notes for place in json.loads(self._archive.get(note) or b"{}").get("places", ())]
        return pa.array(gone, pa.string())

    def _near(self, records: Records) -> Iterator[str]:
        """Objects whose span of records meets that of those given."""
        asked = _together([part for _, part in records.stored.kinds()])
        for key, held in self._objects.items():
            if any(_overlap(span, asked.get(shard)) for shard, span in held.items()):
                yield key

    def _read_object(self, key: str) -> pa.Table:
        return self._archive.read_table(key, ARCHIVE_SCHEMAS[kind_of_key(key)].names)


def as_records(stored: Mapping[ArchiveKind, pa.Table]) -> Records:
    """Stored records as they come out of decoding: arrival, fields and bytes."""
    parts = {}
    for kind, table in stored.items():
        schema = _DECODED[kind]
        if kind is ArchiveKind.DECISIONS:
            table = table.append_column(ANSWERED_FIELD, pc.is_valid(table["answered_by"]))
        columns = [table[name].combine_chunks() for name in schema.names]
        parts[kind] = pa.RecordBatch.from_arrays(columns, schema=schema)
    return Records(parts.get(ArchiveKind.DECISIONS), parts.get(ArchiveKind.LABELS), parts.get(ArchiveKind.DEAD_LETTERS))


_Span = tuple[int, int]


def _numbers(held: Ranges) -> dict[str, _Span]:
    return {shard: (int(first), int(last)) for shard, (first, last) in held.items()}


def _together(parts: Iterable[pa.RecordBatch]) -> dict[str, _Span]:
    spans: dict[str, _Span] = {}
    for part in parts:
        for shard, (first, last) in _numbers(ranges(part)).items():
            before = spans.get(shard, (first, last))
            spans[shard] = (min(before[0], first), max(before[1], last))
    return spans


def _overlap(one: _Span, other: _Span | None) -> bool:
    return other is not None and one[0] <= other[1] and other[0] <= one[1]
