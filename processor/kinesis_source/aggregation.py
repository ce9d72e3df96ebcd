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
_DIGEST_BYTES = 16
_VARINT, _BYTES = 0, 2


class UserRecord(NamedTuple):
    """A record inside an aggregate."""

    partition_key: str
    data: bytes


def unpack(data: bytes) -> list[UserRecord] | None:
    """The records inside an aggregate, in order; None where `data` is a plain record.

    Bytes that only look like an aggregate (wrong digest, malformed message) are plain records, as for every consumer
    of the format.

    >>> unpack(b"plain") is None
    True
    """
    if not data.startswith(MAGIC):
        return None
    body, digest = data[len(MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return None
    try:
        keys, found = [], []
        for field, value in _fields(body):
            if field == 1 and isinstance(value, bytes):
                keys.append(value.decode())
            elif field == 3 and isinstance(value, bytes):
                found.append(_user_record(value))
        return [UserRecord(keys[index], content) for index, content in found]
    except (IndexError, ValueError):
        return None


def _user_record(message: bytes) -> tuple[int, bytes]:
    index, content = 0, b""
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            index = value
        elif field == 3 and isinstance(value, bytes):
            content = value
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
                raise ValueError("a field ends behind its message")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("a wire type that the format does not use")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
