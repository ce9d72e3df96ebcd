"""Reads a query's archived batches back, one after the other, as the job folded them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from adapters.archive import Archive
from fraud.archive_layout import ArchiveKind

_KEY = re.compile(r"/(?P<query>[a-z0-9-]+)-(?P<batch>\d{12})-\d{4}\.parquet$")


class ArchivedBatch(NamedTuple):
    """What a micro-batch left in the archive; None where it had nothing of a kind."""

    number: int
    decisions: pa.Table | None
    labels: pa.Table | None


def archived_keys(archive: Archive, query: str) -> Iterator[tuple[int, dict[ArchiveKind, list[str]]]]:
    """Numbers of all batches of a query, in the order in which they were folded, with the keys of their objects."""
    keys: dict[int, dict[ArchiveKind, list[str]]] = defaultdict(lambda: defaultdict(list))
    for kind in (ArchiveKind.DECISIONS, ArchiveKind.LABELS):
        for key in archive.keys(kind.prefix):
            found = _KEY.search(key)
            if found and found["query"] == query:
                keys[int(found["batch"])][kind].append(key)
    for number in sorted(keys):
        yield number, dict(keys[number])


def archived_batches(archive: Archive, query: str) -> Iterator[ArchivedBatch]:
    """All batches of a query, in the order in which they were folded."""
    for number, keys in archived_keys(archive, query):
        decisions, labels = (_tables(archive, keys.get(k, [])) for k in (ArchiveKind.DECISIONS, ArchiveKind.LABELS))
        yield ArchivedBatch(number, decisions, labels)


def _tables(archive: Archive, keys: list[str]) -> pa.Table | None:
    return pa.concat_tables([archive.read_table(key) for key in keys]) if keys else None
