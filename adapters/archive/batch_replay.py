"""Reads a query's archived batches back, one after the other, as the job folded them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, kind_of_key
from adapters.archive.tables import LABEL_COLUMNS, TRANSACTION_COLUMNS, conform, today
from fraud.records import Records

_KEY = re.compile(r"/(?P<query>[a-z0-9-]+)-(?P<batch>\d{12})-\d{4}(\.\d+)?\.parquet\Z")


_TRANSACTIONS = today(ArchiveKind.DECISIONS, TRANSACTION_COLUMNS)


class ArchivedBatch(NamedTuple):
    """What a micro-batch left in the archive.

    Attributes:
        number: of the batch.
        records: `TRANSACTION_COLUMNS` of its decisions, `LABEL_COLUMNS` of its labels.
        stored: its decisions as they were stored, an object each; empty unless asked for.
    """

    number: int
    records: Records
    stored: tuple[pa.Table, ...] = ()


def archived_keys(archive: Archive, query: str) -> Iterator[tuple[int, dict[ArchiveKind, list[str]]]]:
    """Numbers of all batches of a query, in the order in which they were folded, with the keys of their objects."""
    keys: dict[int, dict[ArchiveKind, list[str]]] = defaultdict(lambda: defaultdict(list))
    for number, key in keys_of_batches(archive, query, (ArchiveKind.DECISIONS, ArchiveKind.LABELS)):
        keys[number][kind_of_key(key)].append(key)
    for number in sorted(keys):
        yield number, dict(keys[number])


def keys_of_batches(
    archive: Archive, query: str, kinds: Sequence[ArchiveKind] = tuple(ArchiveKind)
) -> Iterator[tuple[int, str]]:
    """Every object of a query with the number of its batch, in no particular order; lists all keys of the kinds."""
    for kind in kinds:
        for key in archive.keys(kind.prefix):
            found = _KEY.search(key)
            if found and found["query"] == query:
                yield int(found["batch"]), key


def archived_batches(archive: Archive, query: str, *, stored: bool = False) -> Iterator[ArchivedBatch]:
    """All batches of a query, in the order in which they were folded.

    Args:
        archive: to read.
        query: whose batches.
        stored: whether decisions are wanted as they were stored, too.

    Raises:
        MisconfiguredError: an object lacks a required column, or has one of another type.
    """
    for number, keys in archived_keys(archive, query):
        decided = keys.get(ArchiveKind.DECISIONS, [])
        whole = tuple(archive.read_stored(key) for key in decided) if stored else ()
        parts = (
            [conform(table, _TRANSACTIONS, key) for key, table in zip(decided, whole, strict=True)]
            if stored
            else [archive.read_table(key, TRANSACTION_COLUMNS) for key in decided]
        )
        labels = [archive.read_table(key, LABEL_COLUMNS) for key in keys.get(ArchiveKind.LABELS, [])]
        yield ArchivedBatch(number, Records(_one(parts), _one(labels)), whole)


def _one(tables: list[pa.Table]) -> pa.RecordBatch | None:
    batches = pa.concat_tables(tables).combine_chunks().to_batches() if tables else []
    return batches[0] if batches else None  # an object whose rows were erased has none
