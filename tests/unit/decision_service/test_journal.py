"""What was durable is read again, whatever a crash or the disk has done to the rest."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service import journal as module
from decision_service.journal import Journal

ENTRIES = [b'{"n":1}', b'{"n":22}', b'{"n":333}']
FRAMED = b"".join(map(module.frame, ENTRIES))


def written(folder: Path, entries: list[bytes], **options: Any) -> list[BaseException | None]:
    """Appends entries, waits until each is durable or refused, and closes."""
    journal, found, all_done = Journal(folder, **options), list[BaseException | None](), threading.Event()

    def done(failure: BaseException | None) -> None:
        found.append(failure)
        if len(found) == len(entries):
            all_done.set()

    for entry in entries:
        journal.append(entry, done)
    assert all_done.wait(30)
    journal.close()
    return found


def read(folder: Path) -> tuple[list[bytes], int]:
    journal = Journal(folder)
    found = [entry.data for entry in journal.read(0)]
    journal.close()
    return found, journal.damaged_bytes


def test_what_a_killed_process_may_not_have_synced_is_durable_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}.journal").write_bytes(FRAMED)
    synced = list[int]()
    journal = Journal(tmp_path, sync=lambda file: synced.append(os.fstat(file).st_size))
    assert synced == [len(FRAMED)]
    assert [entry.data for entry in journal.read(0)] == ENTRIES
    journal.close()


def test_entries_come_back_in_order_over_several_starts(tmp_path: Path) -> None:
    for entry in ENTRIES:
        assert written(tmp_path, [entry]) == [None]
    assert read(tmp_path) == (ENTRIES, 0)


def test_a_reader_goes_on_from_the_place_behind_an_entry(tmp_path: Path) -> None:
    written(tmp_path, ENTRIES)
    journal = Journal(tmp_path)
    first = next(journal.read(0))
    assert [entry.data for entry in journal.read(first.end)] == ENTRIES[1:]
    journal.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FRAMED)))
def test_an_end_torn_at_any_byte_loses_only_the_entry_that_was_not_whole(kept: int) -> None:
    ends = [sum(map(len, map(module.frame, ENTRIES[: n + 1]))) for n in range(len(ENTRIES))]
    with TemporaryDirectory() as place:
        (Path(place) / f"{0:020d}.journal").write_bytes(FRAMED[:kept])
        assert read(Path(place)) == (ENTRIES[: sum(end <= kept for end in ends)], 0)
        assert written(Path(place), [b"{}"]) == [None]
        assert read(Path(place))[0][-1] == b"{}"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(module.frame(ENTRIES[0]) + module.frame(ENTRIES[1])) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_its_entry_alone_and_is_said(place: int, change: int) -> None:
    damaged = bytearray(FRAMED)
    damaged[place] ^= change
    hurt = 0 if place < len(module.frame(ENTRIES[0])) else 1
    with TemporaryDirectory() as folder:
        (Path(folder) / f"{0:020d}.journal").write_bytes(damaged)
        found, lost = read(Path(folder))
    assert found == [entry for number, entry in enumerate(ENTRIES) if number != hurt]
    assert lost == len(module.frame(ENTRIES[hurt]))


def test_a_full_disk_is_said_to_whoever_waits_and_nothing_more_is_taken(tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    assert [type(failure) for failure in written(tmp_path, ENTRIES, sync=full)] == [OSError] * 3


def test_segments_before_a_place_are_removed_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)
    for entry in ENTRIES:
        written(tmp_path, [entry, entry])
    journal = Journal(tmp_path)
    places = [entry.end for entry in journal.read(0)]
    journal.forget(places[3])
    assert [entry.data for entry in journal.read(places[3])] == [ENTRIES[2]] * 2
    assert journal.begin > 0
    journal.close()
