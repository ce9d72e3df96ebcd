"""The change log of a key group: what Spark's checkpoint keeps, and from which the local copy can be rebuilt."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraud.features import kernel
from fraud.features.events import Events
from fraud.features.fold import EntityFold
from fraud.features.state import EntityState

_EVENTS, _SNAPSHOT = b"E", b"S"
_HEAD = struct.Struct("<16sqqq")
_ENTRY = struct.Struct("<cq")
_EVENT_BYTES = 8 * (1 + kernel.EVENT_SUM + 2)
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
    """Entries that together hold the whole state, but for keys without events since `oldest`."""
    return [_entry(_SNAPSHOT, piece) for piece in state.dump(oldest)]


def replay(entries: Iterable[bytes], fold: EntityFold, state: EntityState) -> None:
    """Brings an empty state to where a log ends."""
    for entry in entries:
        kind, size = _ENTRY.unpack_from(entry)
        content = _CODEC.decompress(entry[_ENTRY.size :], size, asbytes=True)
        if kind == _SNAPSHOT:
            state.load(content)
        else:
            fold.run(state, _events(content))


def _entry(kind: bytes, content: bytes) -> bytes:
    return _ENTRY.pack(kind, len(content)) + _CODEC.compress(content, asbytes=True)  # type: ignore[no-any-return]


def _events(content: bytes) -> Events:
    count = len(content) // _EVENT_BYTES
    words = np.frombuffer(content, np.int64)
    return Events(
        words[:count],
        words[count : count * (1 + kernel.EVENT_SUM)].reshape(count, kernel.EVENT_SUM).copy(),
        words[count * (1 + kernel.EVENT_SUM) :].view(np.float64).reshape(count, 2),
    )
