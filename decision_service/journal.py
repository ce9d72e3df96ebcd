"""The journal: records that were answered, on the local disk before their answer leaves, in order.

An entry is exactly what the stream gets: the record with its sealed decision. Entries are framed (mark, length,
CRC-32), so that a torn end and damage in the middle are found. A place in the journal is the count of bytes before it,
over all segments; a segment's file is named by the place at which it begins.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import structlog

from adapters.program.runtime import RUNTIME, Runtime
from fraud.errors import FatalError

log = structlog.get_logger()

SEGMENT_BYTES = 64 << 20
_MARK = b"\xfdFJ1"
_HEAD = struct.Struct("<4sII")
_LONGEST = 1 << 18
_READ_BYTES = 1 << 20

Done = Callable[[BaseException | None], None]


class Entry(NamedTuple):
    """One entry, and the place behind it."""

    data: bytes
    end: int


def frame(data: bytes) -> bytes:
    """An entry as it is written."""
    return _HEAD.pack(_MARK, len(data), zlib.crc32(data)) + data


class Journal:
    """A folder of segments; one process writes it.

    Entries that wait are written and made durable together, by a thread of its own: while one fsync runs, the next
    group gathers.

    Args:
        folder: of the segments.
        sync: makes what was written to a file durable; tests pass their own.
        runtime: gives the thread.
    """

    def __init__(self, folder: Path, sync: Callable[[int], None] = os.fdatasync, runtime: Runtime = RUNTIME) -> None:
        self._folder = folder
        self._sync = sync
        folder.mkdir(parents=True, exist_ok=True)
        self._damaged: dict[int, int] = {}
        self.end = self._recover()
        self.durable = self.end
        self.failure: BaseException | None = None
        self._waiting: list[tuple[bytes, Done]] = []
        self._changed = runtime.condition()
        self._durable_moved = runtime.condition()  # of its own: who waits for it is not woken by every entry
        self._closing = False
        self._thread = runtime.start(self._run, "journal")

    @property
    def begin(self) -> int:
        """The place of the oldest entry that is left."""
        return next((begin for begin, _ in self._segments()), self.end)

    @property
    def damaged_bytes(self) -> int:
        """Bytes found so far that are no entries, a torn end apart."""
        return sum(self._damaged.values())

    @property
    def waiting(self) -> int:
        """How many entries are not durable yet."""
        return len(self._waiting)

    def append(self, data: bytes, done: Done) -> None:
        """Has an entry written behind all others.

        Args:
            data: of the entry.
            done: is called from the journal's thread: with None once the entry is durable, or with what went wrong.
        """
        with self._changed:
            failure = self.failure
            if failure is None:
                self._waiting.append((data, done))
                self.end += _HEAD.size + len(data)
                self._changed.notify_all()
        if failure is not None:
            done(failure)

    def wait_beyond(self, place: int, timeout_s: float) -> bool:
        """Waits until something behind a place is durable, or the journal closes; whether something is."""
        with self._durable_moved:
            self._durable_moved.wait_for(lambda: self.durable > place or self._closing, timeout_s)
            return self.durable > place

    def read(self, place: int) -> Iterator[Entry]:
        """The durable entries from a place on, in order; damaged ones are left out, see `damaged_bytes`."""
        until = self.durable
        for begin, end, file in self._spans():
            if end <= place or begin >= until:
                continue
            at, end = max(place, begin), min(end, until)
            for entry in _entries(file, begin, at, end, self._say_damage):
                at = entry.end
                yield entry
            if at < end:
                self._say_damage(file, at, end - at)

    def forget(self, place: int) -> None:
        """Removes the segments that lie whole before a place."""
        for _, end, file in self._spans()[:-1]:
            if end <= place:
                file.unlink()

    def close(self) -> None:
        """Writes what waits and ends."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        with self._durable_moved:
            self._durable_moved.notify_all()
        self._thread.join()

    def _segments(self) -> list[tuple[int, Path]]:
        return sorted((int(file.stem), file) for file in self._folder.glob("*.journal"))

    def _spans(self) -> list[tuple[int, int, Path]]:
        segments = self._segments()
        begins = [begin for begin, _ in segments]
        ends = [*begins[1:], self.end][: len(begins)]
        return [(begin, end, file) for (begin, file), end in zip(segments, ends, strict=True)]

    def _recover(self) -> int:
        """Cuts off a torn end and makes the rest durable; where the journal goes on."""
        segments = self._segments()
        for (begin, file), (after, _) in pairwise(segments):
            if begin + file.stat().st_size != after:
                raise FatalError(f"{file} of the journal is not whole: restore it, or move it away to go on without it")
        if not segments:
            return 0
        begin, file = segments[-1]
        size = file.stat().st_size
        end = begin
        for entry in _entries(file, begin, begin, begin + size, self._say_damage):
            end = entry.end
        with file.open("r+b") as last:
            if end < begin + size:
                log.warning("journal_end_torn", file=str(file), bytes=begin + size - end)
                last.seek(end - begin)
                (self._folder / f"{file.stem}.torn").write_bytes(last.read())
                last.truncate(end - begin)
            # What a killed process wrote may be in memory alone: only now may its answers be given, as durable ones.
            self._sync(last.fileno())
        return end

    def _say_damage(self, file: Path, place: int, size: int) -> None:
        if self._damaged.setdefault(place, size) != size:
            return
        log.error("journal_damaged", file=str(file), place=place, bytes=size, way_out="docs/decisions-api.md")

    def _run(self) -> None:
        segment: _Segment | None = None
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closing)
                    group, self._waiting = self._waiting, []
                if not group:
                    break
                failure: BaseException | None = self.failure
                if failure is None:
                    try:
                        if segment is None or segment.size >= SEGMENT_BYTES:
                            segment = self._next_segment(segment)
                        size = segment.write(b"".join(frame(data) for data, _ in group), self._sync)
                    except OSError as error:  # a disk that is full or gone: what is not durable must not be answered
                        failure = error
                        log.error("journal_failed", problem=str(error))
                with self._changed:
                    self.failure = failure
                with self._durable_moved:
                    self.durable += 0 if failure else size
                    self._durable_moved.notify_all()
                for _, done in group:
                    done(failure)
        finally:
            if segment is not None:
                segment.file.close()

    def _next_segment(self, before: _Segment | None) -> _Segment:
        if before is not None:
            before.file.close()
        path = self._folder / f"{self.durable:020d}.journal"
        last = self._segments()[-1:]
        if before is None and last and last[0][1].stat().st_size < SEGMENT_BYTES:
            path = last[0][1]
        return _Segment(path)


class _Segment:
    """A file that is appended to."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("ab", buffering=0)
        self.size = path.stat().st_size
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def write(self, data: bytes, sync: Callable[[int], None]) -> int:
        left = memoryview(data)
        while left:
            left = left[self.file.write(left) :]
        sync(self.file.fileno())
        self.size += len(data)
        return len(data)


def _entries(
    file: Path, begin: int, place: int, until: int, damage: Callable[[Path, int, int], None] | None = None
) -> Iterator[Entry]:
    """The entries of a segment between two places of the journal; damaged stretches between whole ones are skipped."""
    with file.open("rb") as opened:
        opened.seek(place - begin)
        data, first = b"", place  # what was read and not yet used, and its place
        at = 0
        while True:
            if len(data) - at < _HEAD.size + _LONGEST:
                more = opened.read(min(_READ_BYTES, max(0, until - first - len(data))))
                data, first, at = data[at:] + more, first + at, 0
            length = _length_at(data, at)
            if length is not None:
                start = at + _HEAD.size
                at = start + length
                yield Entry(data[start:at], first + at)
                continue
            following = _next_whole(data, at + 1)
            if following is None:
                return
            if damage is not None:
                damage(file, first + at, following - at)
            at = following


def _length_at(data: bytes, at: int) -> int | None:
    """The length of the entry that is whole at a place; None where none is."""
    if len(data) - at < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    if mark != _MARK or length > _LONGEST or len(data) - start < length:
        return None
    return int(length) if zlib.crc32(memoryview(data)[start : start + length]) == checksum else None


def _next_whole(data: bytes, at: int) -> int | None:
    while True:
        at = data.find(_MARK, at)
        if at < 0:
            return None
        if _length_at(data, at) is not None:
            return at
        at += 1
