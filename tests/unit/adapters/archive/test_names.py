"""Stored objects name the records that they hold; a repeat that differs is refused, one that equals goes on."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.archive.archive import Archive, to_parquet
from adapters.archive.layout import ArchiveKind
from adapters.archive.stored_records import StoredRecords
from adapters.objects.folder import FolderObjects
from fraud.errors import FatalError
from fraud.records import Records
from fraud.records.dead_letter import DEAD_LETTER_SCHEMA
from fraud.records.fate import places
from tests.support.records import stream_records

KEY = ArchiveKind.DEAD_LETTERS.key("fraud", 7, 0, 0)


def dead_letters(count: int) -> pa.Table:
    batch = stream_records([b"{"] * count)
    rows = [row | {"reason": "invalid", "field": None, "detail": None, "replayable": True} for row in batch.to_pylist()]
    return pa.Table.from_pylist(rows, schema=DEAD_LETTER_SCHEMA)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(FolderObjects(tmp_path))


def test_an_object_names_its_records_and_its_program(archive: Archive) -> None:
    archive.put_records_once(KEY, dead_letters(3), "0.1.0+abc")
    names = archive.names(KEY)
    span = (str(10**20), str(10**20 + 2))
    assert (names.ranges, names.program) == ({"fraud-transactions/shard-0": span}, "0.1.0+abc")
    assert archive.row_count(KEY) == 3
    data = archive.get(KEY)
    assert data is not None
    assert b"fraud.records" in pq.read_metadata(io.BytesIO(data)).metadata


def test_an_object_of_a_version_that_named_nothing_is_read(archive: Archive) -> None:
    archive.put_new(KEY, to_parquet(dead_letters(3)))
    named = archive.names(KEY)
    assert named.program == ""
    archive.put_records_once("other", dead_letters(3), "p")
    assert (named.digest, named.ranges) == (archive.names("other").digest, archive.names("other").ranges)
    assert archive.put_records_once(KEY, dead_letters(3), "p").num_rows == 3


def test_a_repeat_with_other_records_is_refused_in_one_line_and_writes_nothing(archive: Archive) -> None:
    archive.put_records_once(KEY, dead_letters(3), "p")
    before = archive.get(KEY)
    with pytest.raises(
        FatalError, match=r"0000\.parquet holds fraud-transactions/shard-0 1\d+ to 1\d+ \(digest"
    ) as refused:
        archive.put_records_once(KEY, dead_letters(4), "p")
    assert "\n" not in str(refused.value)
    assert archive.get(KEY) == before


def test_stored_records_are_found_by_place_in_objects_whose_ranges_overlap(archive: Archive) -> None:
    archive.put_records_once(KEY, dead_letters(3), "p")
    held = archive.names(KEY).ranges
    stored = StoredRecords(archive, {KEY: held, "gone.parquet": {"fraud-transactions/shard-9": ("1", "2")}})
    asked = stream_records([b"x"] * 5).slice(2)
    found = stored.among(Records(transactions=asked))
    assert {kind: places(table).to_pylist() for kind, table in found.items()} == {
        ArchiveKind.DEAD_LETTERS: places(asked.slice(0, 1)).to_pylist()
    }
    assert stored.among(Records()) == {}
