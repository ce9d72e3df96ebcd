"""The change log of a key group: what Spark's checkpoint keeps, and from which the local copy can be rebuilt."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from fraud.features.catalogue import Input
from fraud.features.events import Events

_EVENTS, _SNAPSHOT = b"E", b"S"
_HEAD = struct.Struct("<16sqqq")
_COLUMNS = len(Input)


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
    """An entry that repeats a batch's events, in arrival order."""
    fields = [events.ids, events.key.tobytes(), events.matrix.tobytes(), events.places.tobytes()]
    return _EVENTS + msgspec.msgpack.encode(fields)


def snapshot_entry(states: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An entry that holds the whole state: pairs of entity id and state."""
    return _SNAPSHOT + msgspec.msgpack.encode(list(states))


def replay(entries: Iterable[bytes]) -> Iterator[Events | list[tuple[bytes, bytes]]]:
    """The entries of a log in order: snapshots as pairs, batches as events."""
    for entry in entries:
        if entry[:1] == _SNAPSHOT:
            yield msgspec.msgpack.decode(entry[1:], type=list[tuple[bytes, bytes]])
        else:
            ids, key, matrix, places = msgspec.msgpack.decode(entry[1:], type=tuple[list[str], bytes, bytes, bytes])
            yield Events(
                np.frombuffer(key, np.int64),
                ids,
                np.frombuffer(matrix, np.int64).reshape(-1, _COLUMNS),
                np.frombuffer(places, np.float64).reshape(-1, 2),
            )
