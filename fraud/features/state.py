"""The state of all keys of an entity, or of one key group, as four flat arrays that the kernel works on in place.

`meta` counts; `index` finds a key's row by open addressing; `rows` holds one fixed-size record a key; `slab` holds
the remembered events, each key's in one region whose size is a power of two. Regions that a key outgrew are reused.
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
from fraud.features.waiting import WaitingLabels

Ints = npt.NDArray[np.int64]

STATE_VERSION = 7
"""Version of the arrays' layout and meaning; it changes together with the checkpoint path."""

_KEYS_A_PIECE = 8_192
_HEADER = struct.Struct("<8sqqqqq")
_VERSION = struct.Struct("<8sq")
_MAGIC = b"features"


def other_version(version: object) -> FatalError:
    """What to say of state that another version has left."""
    return FatalError(
        f"the state has version {version}, this program reads version {STATE_VERSION}: go on with the program that "
        "wrote it, or start a new query with `fraud state backfill` (docs/upgrade.md)"
    )


class Arrays(Protocol):
    """Where the four arrays lie."""

    meta: Ints
    index: Ints
    rows: Ints
    slab: Ints

    def resize(self, name: str, length: int) -> None:
        """Makes an array longer; new parts are zero. The attribute then holds the new array."""


SHAPES: dict[str, tuple[int, tuple[int, ...]]] = {
    "meta": (layout.META_WORDS, ()),
    "index": (64, ()),
    "rows": (32, (layout.ROW_WORDS,)),
    "slab": (256, (layout.EVENT_WORDS,)),
}
"""First length of each array, and the shape of its elements."""


class MemoryArrays:
    """Arrays in memory."""

    def __init__(self) -> None:
        for name, (length, element) in SHAPES.items():
            setattr(self, name, np.zeros((length, *element), np.int64))

    meta: Ints
    index: Ints
    rows: Ints
    slab: Ints

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

    def keys_since(self, oldest: int) -> int:
        """Number of keys whose last event arrived at a time or later."""
        return int((self.arrays.rows[: self.keys, layout.ROW_LAST] >= oldest).sum())

    @property
    def used_bytes(self) -> int:
        """Bytes in use, free regions included."""
        meta = self.arrays.meta
        row_bytes = 8 * (layout.ROW_WORDS + 2)
        return int(meta[layout.META_ROWS] * row_bytes + meta[layout.META_SLAB] * 8 * layout.EVENT_WORDS)

    def is_sound(self) -> bool:
        """Whether the arrays can be what a kernel left: sizes, places, order, sums and checksums fit."""
        arrays = self.arrays
        return len(arrays.meta) == layout.META_WORDS and bool(
            memory.is_sound(arrays.meta, arrays.index, arrays.rows, arrays.slab)
        )

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
            arrays.resize("slab", max(needed, 2 * len(arrays.slab)))

    def dump(self, oldest: int = layout.NO_TIME) -> Iterator[bytes]:
        """The state in pieces: every key's row and live events, without free space.

        Args:
            oldest: keys whose last event arrived earlier are left out.
        """
        rows, slab = self.arrays.rows, self.arrays.slab
        for first in range(0, max(1, self.keys), _KEYS_A_PIECE):
            live = rows[: self.keys][first : first + _KEYS_A_PIECE]
            live = live[live[:, layout.ROW_LAST] >= oldest]
            lengths = live[:, layout.ROW_END] - live[:, layout.ROW_START]
            events = np.empty((int(lengths.sum()), layout.EVENT_WORDS), np.int64)
            memory.gather(live, slab, events)
            clocks = (int(self.arrays.meta[word]) for word in (layout.META_CLOCK, layout.META_ARRIVAL))
            header = _HEADER.pack(_MAGIC, STATE_VERSION, len(live), len(events), *clocks)
            yield b"".join([header, live.tobytes(), events.tobytes()])

    def load(self, piece: bytes) -> None:
        """Adds the keys of a dumped piece, none of which the state may have.

        Raises:
            FatalError: the piece has another version.
        """
        magic, version = _VERSION.unpack_from(piece)
        if magic != _MAGIC or version != STATE_VERSION:
            raise other_version(version)
        _, _, keys, count, *clocks = _HEADER.unpack_from(piece)
        words = np.frombuffer(piece, np.int64, offset=_HEADER.size)
        rows = words[: keys * layout.ROW_WORDS].reshape(keys, layout.ROW_WORDS)
        events = words[keys * layout.ROW_WORDS :].reshape(count, layout.EVENT_WORDS)
        done = 0
        while True:
            arrays = self.arrays
            done = memory.scatter(rows, events, (arrays.meta, arrays.index, arrays.rows, arrays.slab), done)
            if done == keys:
                break
            self.make_room()
        self.arrays.meta[[layout.META_CLOCK, layout.META_ARRIVAL]] = clocks
