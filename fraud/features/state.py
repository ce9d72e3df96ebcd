"""The state of all keys of an entity, or of one key group, as seven flat arrays that the kernel works on in place.

`meta` counts; `index` finds a key's row by open addressing; `rows` holds one fixed-size record a key; `slab` holds
the remembered events, each key's in one region; `sums` holds what stands before every 16 places of the slab; `odd`
holds times that an event of the slab has no room for; `counts` holds the tables of busy keys. Regions that keys outgrew
are taken by others, or, of the slab, won back by packing.
The arrays may lie in memory or in memory-mapped files: nothing is read, written or converted per key or batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fraud.errors import FatalError
from fraud.features.kernel import layout, memory
from fraud.features.snapshot import dumped_events, dumped_rows, loaded_events, loaded_rows
from fraud.features.waiting import WaitingLabels
from fraud.records.arrival import DUPLICATE_HORIZON_MS

Ints = npt.NDArray[np.int64]

STATE_VERSION = 9
"""Version of the arrays' layout and meaning; it changes together with the checkpoint path."""

EVENTS_A_PIECE = 32_768
"""Most events of a piece of a snapshot that has more than one key."""
_ROW_WEIGHT = 10
"""Events that take as many bytes of a snapshot as a row."""
_HEADER = struct.Struct("<8sqqqqqq")
_VERSION = struct.Struct("<8sq")
_MAGIC = b"features"


def other_version(version: object) -> FatalError:
    """What to say of state that another version has left."""
    return FatalError(
        f"the state has version {version}, this program reads version {STATE_VERSION}: go on with the program that "
        "wrote it, or start a new query with `fraud state backfill` (docs/upgrade.md)"
    )


_MOST_WASTE = 3 / 20
"""Share of the slab's places without an event from which it is packed."""
_NEW_WASTE = 1 / 16
"""The same of those that became empty since it was last packed: what packing again can win at least."""
_SMALL_SLAB = 4_096
"""Places of a slab that is never packed."""


class Arrays(Protocol):
    """Where the arrays lie."""

    meta: Ints
    index: Ints
    rows: Ints
    slab: Ints
    sums: Ints
    odd: Ints
    counts: Ints

    def resize(self, name: str, length: int) -> None:
        """Makes an array longer; new parts are zero. The attribute then holds the new array."""


SHAPES: dict[str, tuple[int, tuple[int, ...]]] = {
    "meta": (layout.META_WORDS, ()),
    "index": (64, ()),
    "rows": (32, (layout.ROW_WORDS,)),
    "slab": (256, (layout.PACKED_WORDS,)),
    "sums": (256 // layout.BLOCK, (layout.SUM_WORDS,)),
    "odd": (16, (layout.ODD_WORDS,)),
    "counts": (16, ()),
}
"""First length of each array, and the shape of its elements."""


def arrays_of(arrays: Arrays) -> tuple[Ints, ...]:
    """The arrays as the kernel takes them: those of `fraud.features.kernel.layout.State`."""
    return arrays.meta, arrays.index, arrays.rows, arrays.slab, arrays.sums, arrays.odd, arrays.counts


class MemoryArrays:
    """Arrays in memory."""

    def __init__(self) -> None:
        for name, (length, element) in SHAPES.items():
            setattr(self, name, np.zeros((length, *element), np.int64))

    meta: Ints
    index: Ints
    rows: Ints
    slab: Ints
    sums: Ints
    odd: Ints
    counts: Ints

    def resize(self, name: str, length: int) -> None:
        """See `Arrays.resize`."""
        old = getattr(self, name)
        new = np.zeros((length, *old.shape[1:]), np.int64)
        new[: len(old)] = old
        setattr(self, name, new)


class EntityState:
    """The state of a set of keys.

    Args:
        arrays: where it lies; fresh ones are all zero.

    Attributes:
        waiting: labels that wait beside it; they are dumped and loaded on their own.
    """

    def __init__(self, arrays: Arrays | None = None) -> None:
        self.arrays: Arrays = MemoryArrays() if arrays is None else arrays
        self.waiting = WaitingLabels()

    @property
    def keys(self) -> int:
        """Number of keys."""
        return int(self.arrays.meta[layout.META_ROWS])

    @property
    def clock_ms(self) -> int:
        """The earlier arrival of the last two events: no single one can put it into the future of all others."""
        return int(self.arrays.meta[layout.META_CLOCK])

    @property
    def arrival_ms(self) -> int:
        """When the last event arrived."""
        return int(self.arrays.meta[layout.META_ARRIVAL])

    @property
    def events(self) -> int:
        """Number of remembered events."""
        return int(self.arrays.meta[layout.META_EVENTS])

    @property
    def used_bytes(self) -> int:
        """Bytes in use, places without an event included."""
        meta = self.arrays.meta
        row_bytes = 8 * (layout.ROW_WORDS + 2)
        block_bytes = 8 * (layout.BLOCK * layout.PACKED_WORDS + layout.SUM_WORDS)
        slab_bytes = meta[layout.META_SLAB] * block_bytes // layout.BLOCK
        others = 8 * (meta[layout.META_ODD] * layout.ODD_WORDS + meta[layout.META_COUNTS])
        return int(meta[layout.META_ROWS] * row_bytes + slab_bytes + others)

    def is_sound(self) -> bool:
        """Whether the arrays can be what a kernel left: sizes, places, order, sums and checksums fit."""
        arrays = self.arrays
        return len(arrays.meta) == layout.META_WORDS and bool(memory.is_sound(arrays_of(arrays)))

    def make_room(self) -> None:
        """Doubles whatever the kernel found too small."""
        arrays = self.arrays
        if arrays.meta[layout.META_ROWS] >= len(arrays.rows):
            arrays.resize("rows", 2 * len(arrays.rows))
        if 2 * len(arrays.rows) > len(arrays.index):
            arrays.index[:] = 0
            arrays.resize("index", 2 * len(arrays.rows))
            memory.fill_index(arrays.meta, arrays.index, arrays.rows)
        needed = int(arrays.meta[layout.META_NEEDED])
        if needed > len(arrays.slab):
            self._pack()
            length = max(needed, 2 * len(arrays.slab))
            arrays.resize("slab", length)
            arrays.resize("sums", -(-length // layout.BLOCK))
        needed = int(arrays.meta[layout.META_ODD_NEEDED])
        if needed > len(arrays.odd):
            self._pack()
            arrays.resize("odd", max(needed, 2 * len(arrays.odd)))
        needed = int(arrays.meta[layout.META_COUNTS_NEEDED])
        if needed > len(arrays.counts):
            arrays.resize("counts", max(needed, 2 * len(arrays.counts)))

    def tidy(self) -> None:
        """Packs the slab where too much of it holds no event."""
        item = self.arrays.meta.item
        used = item(layout.META_SLAB)
        waste = used - item(layout.META_EVENTS)
        if used > _SMALL_SLAB and waste > max(_MOST_WASTE * used, item(layout.META_PACKED) + _NEW_WASTE * used):
            self._pack()

    def _pack(self) -> None:
        arrays = self.arrays
        rows = arrays.rows[: self.keys]
        held = np.flatnonzero(rows[:, layout.ROW_CAPACITY])
        order = held[np.argsort(rows[held, layout.ROW_REGION])]
        memory.pack_slab(arrays_of(arrays), order, arrays.odd[: int(arrays.meta[layout.META_ODD])].copy())

    def unpacked(self, rows: Ints) -> Ints:
        """The remembered events of rows as they were folded, one after the other, as far as they were kept (n, 7)."""
        lengths = rows[:, layout.ROW_END] - rows[:, layout.ROW_START]
        events = np.empty((int(lengths.sum()), layout.EVENT_WORDS), np.int64)
        memory.gather(rows, arrays_of(self.arrays), events, DUPLICATE_HORIZON_MS)
        return events

    def dump(self) -> Iterator[bytes]:
        """The state in pieces: every key's row and live events, without free space."""
        rows = self.arrays.rows[: self.keys]
        weights = np.cumsum(rows[:, layout.ROW_END] - rows[:, layout.ROW_START] + _ROW_WEIGHT)
        full = np.arange(EVENTS_A_PIECE, weights.max(initial=0), EVENTS_A_PIECE)
        for part in np.split(rows, np.unique(np.searchsorted(weights, full))):
            yield self._piece(part)

    def next_slice(self, number: int, oldest: int) -> tuple[bytes, bool]:
        """The next piece of the state in a round over all keys, and whether it was the round's last.

        All pieces of a round together hold the keys that there were as it began, each as it was at its own piece.

        Args:
            number: of the round, from 1; another one than before begins a new round.
            oldest: keys whose last event arrived earlier are forgotten as the round comes to them.
        """
        meta = self.arrays.meta
        if meta[layout.META_ROUND] != number:
            meta[[layout.META_ROUND, layout.META_CURSOR, layout.META_UNTIL]] = number, 0, self.keys
        first = int(meta[layout.META_CURSOR])
        memory.next_slice(arrays_of(self.arrays), oldest, EVENTS_A_PIECE, _ROW_WEIGHT)
        cursor = int(meta[layout.META_CURSOR])
        return self._piece(self.arrays.rows[first:cursor]), cursor >= meta[layout.META_UNTIL]

    def _piece(self, live: Ints) -> bytes:
        events = self.unpacked(live)
        words = (layout.META_CLOCK, layout.META_ARRIVAL, layout.META_DEVICES)
        noted = (int(self.arrays.meta[word]) for word in words)
        header = _HEADER.pack(_MAGIC, STATE_VERSION, len(live), len(events), *noted)
        return b"".join([header, dumped_rows(live), dumped_events(live, events)])

    def load(self, piece: bytes) -> None:
        """Takes the keys of a dumped piece over, in place of what the state has of them.

        Raises:
            FatalError: the piece has another version.
        """
        magic, version = _VERSION.unpack_from(piece)
        if magic != _MAGIC or version != STATE_VERSION:
            raise other_version(version)
        _, _, keys, count, *noted = _HEADER.unpack_from(piece)
        content = memoryview(piece)[_HEADER.size :]
        rows = loaded_rows(content, keys)
        lengths = rows[:, layout.ROW_END].copy()
        events = loaded_events(content[keys * 8 * layout.ROW_DUMPED :], lengths, count)
        if self.keys:
            memory.forget(rows[:, layout.ROW_KEY].copy(), arrays_of(self.arrays))
        self.arrays.meta[[layout.META_CLOCK, layout.META_ARRIVAL, layout.META_DEVICES]] = noted
        done = 0
        while True:
            done = memory.scatter(rows, lengths, events, arrays_of(self.arrays), done)
            if done == keys:
                break
            self.make_room()
