"""What an Arrow stream says of its size before any of it is unpacked.

A stream may be compressed, and 67 kB of it may ask for gigabytes: each compressed buffer begins with the length that it
unpacks to, and a batch names its rows. Both are read here from the messages themselves, whose tables are FlatBuffers
(Arrow columnar format, "Encapsulated message format"; FlatBuffers internals). Arrow has verified a message by then, so
that every offset lies inside it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

_HEADER = 2  # field of a Message
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3  # fields of a RecordBatch
_NOT_COMPRESSED = -1


class BatchSize(NamedTuple):
    """The size of a batch once it is unpacked.

    Attributes:
        rows: in it.
        buffer_bytes: of its columns.
    """

    rows: int
    buffer_bytes: int


def batch_sizes(stream: bytes) -> Iterator[BatchSize]:
    """The sizes of a stream's batches, in their order.

    Raises:
        ValueError: a dictionary, whose size no batch names; `pa.ArrowInvalid` is one, and what is no stream raises it.
        OSError: it ends too early.
    """
    reader = pa.ipc.MessageReader.open_stream(pa.py_buffer(stream))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type == "record batch":
            yield _size_of(memoryview(message.metadata), message.body)
        elif message.type != "schema":
            raise ValueError(f"an Arrow stream with a {message.type}; send plain columns of numbers")


def _size_of(metadata: memoryview, body: pa.Buffer) -> BatchSize:
    header = _fields(metadata, _pointed(metadata, 0))[_HEADER]
    assert header is not None, "Arrow takes no message without a header"
    batch = dict(enumerate(_fields(metadata, _pointed(metadata, header))))
    length, buffers = batch.get(_LENGTH), batch.get(_BUFFERS)
    rows = 0 if length is None else _int64(metadata, length)
    if batch.get(_COMPRESSION) is None or buffers is None:
        return BatchSize(rows, body.size)
    listed = _pointed(metadata, buffers)
    count = struct.unpack_from("<I", metadata, listed)[0]
    places = struct.iter_unpack("<qq", metadata[listed + 4 : listed + 4 + 16 * count])
    content = memoryview(body)
    return BatchSize(rows, sum(_unpacked_bytes(content, *place) for place in places))


def _unpacked_bytes(body: memoryview, offset: int, length: int) -> int:
    if length == 0:
        return 0
    if offset < 0 or length < 8 or offset + length > len(body):
        raise ValueError("an Arrow buffer outside its message")
    unpacked = _int64(body, offset)
    return length if unpacked == _NOT_COMPRESSED else unpacked


def _fields(data: memoryview, table: int) -> list[int | None]:
    """Where each field of a table lies; None where it is left out."""
    layout = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, layout)[0]
    offsets = struct.unpack_from(f"<{(size - 4) // 2}H", data, layout + 4)
    return [table + offset if offset else None for offset in offsets]


def _pointed(data: memoryview, place: int) -> int:
    return place + int(struct.unpack_from("<I", data, place)[0])


def _int64(data: memoryview, place: int) -> int:
    return int(struct.unpack_from("<q", data, place)[0])
