"""The change log of a key group: what Spark's checkpoint keeps, and from which the local copy can be rebuilt."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from fraud.errors import FatalError
from fraud.features.events import Events
from fraud.features.fold import EntityFold
from fraud.features.kernel import layout
from fraud.features.state import EntityState, other_version
from fraud.features.waiting import Change

_EVENTS, _SNAPSHOT, _WAITING = b"G", b"T", b"W"  # a snapshot itself says of which version it is
_HEAD = struct.Struct("<16sqqq")
_ENTRY = struct.Struct("<cq")
_CHECK = struct.Struct("<I")  # of what stands before and behind it
_EVENT_BYTES = 8 * (1 + layout.EVENT_WORDS + 2)
_CODEC = pa.Codec("zstd", compression_level=1)


class Head(NamedTuple):
    """What is known of a key group's log without reading it.

    Attributes:
        token: names the version of the state after the last batch; fresh for each.
        entries: entries of the log.
        log_bytes: their size.
        snapshot_bytes: size of the snapshot among them.
    """

    token: bytes
    entries: int
    log_bytes: int
    snapshot_bytes: int

    def to_bytes(self) -> bytes:
        """The stored form."""
        return _HEAD.pack(*self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Head:
        """Reads the stored form."""
        return cls(*_HEAD.unpack(stored))


EMPTY = Head(b"", 0, 0, 0)


def events_entry(events: Events) -> bytes:
    """An entry that repeats a batch's events, in arrival order, but for those without a key."""
    if not events.key.all():
        events = Events(*(column[events.key != 0] for column in events))
    return _entry(_EVENTS, b"".join([events.key.tobytes(), events.words.tobytes(), events.places.tobytes()]))


def snapshot_entries(state: EntityState, oldest: int) -> list[bytes]:
    """Entries that together hold the whole state, but for keys without events since `oldest`; all waiting labels."""
    entries = [_entry(_SNAPSHOT, piece) for piece in state.dump(oldest)]
    return [*entries, waiting_entry(state.waiting.whole())] if len(state.waiting) else entries


def waiting_entry(change: Change) -> bytes:
    """An entry that repeats how the waiting labels changed."""
    return _entry(_WAITING, msgspec.msgpack.encode(change))


def replay(entries: Iterable[bytes], fold: EntityFold, state: EntityState) -> None:
    """Brings an empty state to where a log ends.

    Raises:
        FatalError: an entry is damaged or of another version.
    """
    for entry in entries:
        kind, content = _opened(entry)
        if kind == _SNAPSHOT:
            state.load(content)
        elif kind == _EVENTS:
            fold.run(state, _events(content))
        elif kind == _WAITING:
            state.waiting.apply(msgspec.msgpack.decode(content, type=Change))
        else:
            raise other_version("4")


def _entry(kind: bytes, content: bytes) -> bytes:
    head, packed = _ENTRY.pack(kind, len(content)), _CODEC.compress(content, asbytes=True)
    return b"".join([head, _CHECK.pack(zlib.crc32(packed, zlib.crc32(head))), packed])


def _opened(entry: bytes) -> tuple[bytes, bytes]:
    """Kind and content of an entry; nothing is believed, or unpacked, before its checksum fits."""
    first = _ENTRY.size + _CHECK.size
    head, packed = entry[: _ENTRY.size], entry[first:]
    if len(entry) < first or _CHECK.unpack(entry[_ENTRY.size : first])[0] != zlib.crc32(packed, zlib.crc32(head)):
        raise FatalError(
            "the log of keyed state in the checkpoint is damaged, or of another version: restore the checkpoint, or "
            "start a new query with `fraud state backfill` (docs/runbooks/state-rebuild.md)"
        )
    kind, size = _ENTRY.unpack(head)
    return kind, _CODEC.decompress(packed, size, asbytes=True)


def _events(content: bytes) -> Events:
    count = len(content) // _EVENT_BYTES
    words = np.frombuffer(content, np.int64)
    return Events(
        words[:count],
        words[count : count * (1 + layout.EVENT_WORDS)].reshape(count, layout.EVENT_WORDS).copy(),
        words[count * (1 + layout.EVENT_WORDS) :].view(np.float64).reshape(count, 2),
    )
