"""The change log of a key group: what Spark's checkpoint keeps, and from which the local copy can be rebuilt.

It consists of rounds. A round begins with all labels that wait, and goes on with what each batch folded. In between it
takes a snapshot of every key, piece by piece. Where a piece stands in the log, it replaces what is known of its keys.
Once a round has come through all keys, it holds the whole state, and what was logged before it is not needed any more.
"""

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
from fraud.features.waiting import Change, WaitingLabels

_EVENTS, _SNAPSHOT, _WAITING, _ALL_WAITING = b"G", b"T", b"W", b"A"  # a snapshot itself says of which version it is
_HEAD = struct.Struct("<16sq?qqqq")
_ENTRY = struct.Struct("<cq")
_CHECK = struct.Struct("<I")  # of what stands before and behind it
_EVENT_BYTES = 8 * (1 + layout.EVENT_WORDS + 2)
_CODEC = pa.Codec("zstd", compression_level=1)


class Head(NamedTuple):
    """What is known of a key group's log without reading it.

    Attributes:
        token: names the version of the state after the last batch; fresh for each.
        round: number of the last round, from 1; 0 where nothing is logged yet.
        whole: whether it has come through all keys.
        earlier_bytes: size of what was logged before the last round, where that is needed still.
        round_bytes: size of the last round.
        snapshot_bytes: size of the snapshots in it.
        owed: bytes that were logged, less those that are paid for by snapshots.
    """

    token: bytes
    round: int
    whole: bool
    earlier_bytes: int
    round_bytes: int
    snapshot_bytes: int
    owed: int

    @property
    def log_bytes(self) -> int:
        """Size of the log: what a rebuild reads."""
        return self.earlier_bytes + self.round_bytes

    @property
    def lists(self) -> tuple[int, ...]:
        """Which of the two lists of rounds, the even and the odd ones, hold the log: one after the other."""
        return (1 - self.round % 2, self.round % 2) if self.earlier_bytes else (self.round % 2,)

    def next_round(self) -> Head:
        """The head as another round begins."""
        return self._replace(
            round=self.round + 1, whole=False, earlier_bytes=self.log_bytes, round_bytes=0, snapshot_bytes=0
        )

    def with_entries(self, entries: Iterable[bytes]) -> Head:
        """The head once the last round has more entries."""
        return self._replace(round_bytes=self.round_bytes + sum(map(len, entries)))

    def with_snapshot(self, entry: bytes, is_last: bool, slice_bytes: int) -> Head:
        """The head once the last round has another piece of its snapshot, which pays for `slice_bytes` at least."""
        paid = self.with_entries([entry])._replace(
            snapshot_bytes=self.snapshot_bytes + len(entry), owed=self.owed - max(slice_bytes, len(entry))
        )
        return paid._replace(whole=True, earlier_bytes=0, owed=min(paid.owed, 0)) if is_last else paid

    def to_bytes(self) -> bytes:
        """The stored form."""
        return _HEAD.pack(*self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Head:
        """Reads the stored form."""
        return cls(*_HEAD.unpack(stored))


EMPTY = Head(b"", 0, True, 0, 0, 0, 0)


def events_entry(events: Events) -> bytes:
    """An entry that repeats a batch's events, in arrival order, but for those without a key."""
    if not events.key.all():
        events = Events(*(column[events.key != 0] for column in events))
    return _entry(_EVENTS, b"".join([events.key.tobytes(), events.words.tobytes(), events.places.tobytes()]))


def snapshot_entry(piece: bytes) -> bytes:
    """An entry that replaces what is known of the keys of a piece of the state."""
    return _entry(_SNAPSHOT, piece)


def is_snapshot(entry: bytes) -> bool:
    """Whether an entry is a piece of a snapshot."""
    return entry.startswith(_SNAPSHOT)


def snapshot_entries(state: EntityState) -> list[bytes]:
    """Entries that together hold the whole state, with all waiting labels: a round of its own."""
    pieces = [snapshot_entry(piece) for piece in state.dump()]
    return [all_waiting_entry(state.waiting), *pieces] if len(state.waiting) else pieces


def all_waiting_entry(labels: WaitingLabels) -> bytes:
    """An entry that says which labels wait, whatever was logged of them before."""
    return _entry(_ALL_WAITING, msgspec.msgpack.encode(labels.whole()))


def waiting_entry(change: Change) -> bytes:
    """An entry that repeats how the waiting labels changed."""
    return _entry(_WAITING, msgspec.msgpack.encode(change))


def replay(entries: Iterable[bytes], fold: EntityFold, state: EntityState) -> None:
    """Brings a state to where a log ends.

    Raises:
        FatalError: an entry is damaged or of another version.
    """
    for entry in entries:
        kind, content = _opened(entry)
        if kind == _SNAPSHOT:
            state.load(content)
        elif kind == _EVENTS:
            fold.run(state, _events(content))
        elif kind in (_WAITING, _ALL_WAITING):
            if kind == _ALL_WAITING:
                state.waiting = WaitingLabels()
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
