"""Rows and remembered events as columns of bytes, which compress well: what a snapshot holds of them.

Of a column of numbers all lowest bytes stand together, then the next ones. Times are differences; values that come
often are numbers into a table, the most frequent ones the smallest.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from fraud.features.kernel import layout

Ints = npt.NDArray[np.int64]

_COUNT = struct.Struct("<q")
_COMPUTED = (layout.ROW_REGION, layout.ROW_CAPACITY, layout.ROW_START, layout.ROW_EVENTS, layout.ROW_CHECK)
"""Words of a row that say where its events lie, or follow from the others."""
_PLAIN = (layout.EVENT_AMOUNT, layout.EVENT_ID)
_NAMED = (layout.EVENT_OTHER, layout.EVENT_DEVICE, layout.EVENT_CODES)


def dumped_rows(rows: Ints) -> bytes:
    """Rows, with the number of their events instead of where these lie."""
    rows = rows.copy()
    rows[:, layout.ROW_END] -= rows[:, layout.ROW_START]
    rows[:, _COMPUTED] = 0
    return b"".join(_planes(rows[:, word]) for word in range(layout.ROW_DUMPED))


def loaded_rows(content: memoryview, count: int) -> Ints:
    """Reads them."""
    rows = np.zeros((count, layout.ROW_WORDS), np.int64)
    for word in range(layout.ROW_DUMPED):
        rows[:, word] = _of_planes(content[word * 8 * count :], count)
    return rows


def dumped_events(rows: Ints, events: Ints) -> bytes:
    """Remembered events of rows, one after the other, as they were folded (n, 7)."""
    time = events[:, layout.EVENT_TIME]
    since = np.diff(time, prepend=0)
    firsts = _firsts(rows[:, layout.ROW_END] - rows[:, layout.ROW_START])
    earliest = int(time[firsts].min()) if len(firsts) else 0
    since[firsts] = time[firsts] - earliest
    delay = events[:, layout.EVENT_DELAY]
    parts = [_COUNT.pack(earliest), _planes(since), _planes(delay << 1 ^ delay >> 63)]
    parts += [_planes(events[:, word]) for word in _PLAIN]
    for word in _NAMED:
        parts += _named(events[:, word])
    return b"".join(parts)


def loaded_events(content: memoryview, lengths: Ints, count: int) -> Ints:
    """Reads them.

    Args:
        content: begins with what `dumped_events` gave.
        lengths: of the events of each row.
        count: of all events.
    """
    events = np.empty((count, layout.EVENT_WORDS), np.int64)
    (earliest,) = _COUNT.unpack_from(content)
    content = content[_COUNT.size :]
    since, delay, *plain = (_of_planes(content[column * 8 * count :], count) for column in range(2 + len(_PLAIN)))
    content = content[(2 + len(_PLAIN)) * 8 * count :]
    time = np.cumsum(since)
    firsts = _firsts(lengths)
    before = np.repeat(time[firsts] - since[firsts], lengths[lengths > 0])
    events[:, layout.EVENT_TIME] = time - before + earliest
    events[:, layout.EVENT_DELAY] = delay >> 1 ^ -(delay & 1)
    for word, column in zip(_PLAIN, plain, strict=True):
        events[:, word] = column
    for word in _NAMED:
        (names,) = _COUNT.unpack_from(content)
        table = _of_planes(content[_COUNT.size :], names)
        content = content[_COUNT.size + 8 * names :]
        events[:, word] = table[_of_planes(content, count)]
        content = content[8 * count :]
    return events


def _firsts(lengths: Ints) -> Ints:
    """Where the events of each row that has any begin."""
    ends = np.cumsum(lengths)
    return (ends - lengths)[lengths > 0]


def _planes(column: Ints) -> bytes:
    """Numbers, byte by byte."""
    return np.ascontiguousarray(column, np.dtype("<i8")).view(np.uint8).reshape(-1, 8).T.tobytes()


def _of_planes(content: memoryview, count: int) -> Ints:
    """Reads them."""
    planes = np.frombuffer(content[: 8 * count], np.uint8).reshape(8, count)
    return np.ascontiguousarray(planes.T).view(np.dtype("<i8")).reshape(count).astype(np.int64, copy=False)


def _named(column: Ints) -> list[bytes]:
    """A column as a table of its values and the number of each in it."""
    values, places, counts = np.unique(column, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    number = np.empty(len(values), np.int64)
    number[order] = np.arange(len(values))
    return [_COUNT.pack(len(values)), _planes(values[order]), _planes(number[places])]
