"""Notes in the archive of how many records a query has read, by the stream's offsets."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from adapters.archive import Archive
from fraud.archive_layout import OFFSETS_PREFIX, offsets_key
from fraud.offset_check import OffsetNote


def leave_note(archive: Archive, note: OffsetNote) -> None:
    """Keeps a note; one that is there for as many batches stays."""
    archive.put_new(offsets_key(note.query, note.batches), msgspec.json.encode(note))


def read_notes(archive: Archive) -> Iterator[OffsetNote]:
    """The notes of all queries."""
    for key in archive.keys(OFFSETS_PREFIX):
        data = archive.get(key)
        if data is not None:
            yield msgspec.json.decode(data, type=OffsetNote)
