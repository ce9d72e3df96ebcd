"""Unpacks aggregated records of the Kinesis Producer Library.

Source: amazon-kinesis-producer, `aggregation-format.md`: four magic bytes, a protocol-buffers message, its MD5 digest.
The message holds a table of partition keys (field 1) and the user records (field 3), each with the index of its key
(field 1) and its data (field 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"\xf3\x89\x9a\xc2"

MAX_KEY = 256
"""Characters of a partition key (Kinesis API reference)."""

MAX_GROWTH = 16
"""How many times its own bytes an aggregate's rows may take; with their data alone, usual ones take not much more than
once. User records share keys, so a few bytes of an aggregate can stand for any number of them."""

ROW_BYTES = 64
"""What a row takes besides its data and key."""

_DIGEST_BYTES = 16
_VARINT_BYTES = 10  # of 64 bits
_VARINT, _BYTES = 0, 2


class UserRecord(NamedTuple):
    """A record inside an aggregate."""

    partition_key: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of its row, about."""
        return ROW_BYTES + len(self.partition_key) + len(self.data)


def unpack(data: bytes) -> list[UserRecord] | None:
    """The records inside an aggregate, in order; None where `data` is a plain record.

    Bytes that only look like an aggregate are plain records, as for every consumer of the format: with a wrong digest,
    a malformed message, a key that Kinesis would not take, or rows of more than `MAX_GROWTH` times its bytes. The time
    that it takes to find out, and the memory, are within a bound for each of its bytes.

    >>> unpack(b"plain") is None
    True
    """
    if not data.startswith(MAGIC):
        return None
    body, digest = data[len(MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return None
    try:
        return _user_records(body)
    except (IndexError, ValueError):
        return None


def _user_records(body: bytes) -> list[UserRecord]:
    keys: list[str] = []
    found: list[tuple[int, bytes]] = []
    for field, value in _fields(body):
        if field == 1 and isinstance(value, bytes):
            keys.append(_key(value))
        elif field == 3 and isinstance(value, bytes):
            found.append(_indexed(value))
    records = [UserRecord(keys[index], content) for index, content in found]  # shares keys: nothing is copied yet
    if sum(record.size for record in records) > MAX_GROWTH * len(body):
        raise ValueError("a few bytes that stand for very many")
    return records


def _key(value: bytes) -> str:
    key = value.decode()
    if not 0 < len(key) <= MAX_KEY:
        raise ValueError("no partition key of Kinesis")
    return key


def _indexed(message: bytes) -> tuple[int, bytes]:
    """The place of a user record's key, and its data."""
    index, content = None, None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            index = value
        elif field == 3 and isinstance(value, bytes):
            content = value
    if index is None or content is None:
        raise ValueError("a user record lacks its key or its data")
    return index, content


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; the format uses varints and byte strings only."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
        elif tag & 7 == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field extends beyond its message")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("a wire type that the format does not use")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_VARINT_BYTES):
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number that does not end")
