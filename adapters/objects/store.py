"""The port to a store of objects: bytes at keys, written whole and, where asked for, under a condition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """An object as it was read.

    Attributes:
        data: its bytes.
        tag: of its content; another content has another one.
    """

    data: bytes
    tag: str


def put_over(objects: ObjectStore, key: str, data: bytes, tag: str | None) -> bool:
    """Writes an object in place of the one that was read; False, and nothing done, where somebody wrote it since.

    Args:
        objects: where.
        key: of the object.
        data: its bytes.
        tag: of what was read; None where there was none.
    """
    return objects.put_new(key, data) if tag is None else objects.replace(key, data, tag)


class ObjectStore(Protocol):
    """Objects below one address; keys are relative to it, with `/` between their parts.

    Every method raises `fraud.errors.UnavailableError` where the store is out of reach and `RefusedError` where it does
    not allow the call. Of several writers at the same time, also in several processes, the conditions hold for one.

    Attributes:
        address: the folder or `s3://` address, for messages.
    """

    address: str

    def require(self) -> None:
        """Asks for the first key: raises where the store cannot be listed."""

    def get(self, key: str) -> StoredObject | None:
        """An object; None where there is none."""

    def tail(self, key: str, size: int) -> bytes | None:
        """The last bytes of an object, all where it has no more than `size`; None where there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Writes an object, whether one is there or not."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Writes an object where there is none; False, and nothing done, where there is one."""

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Writes an object in place of the one with this tag; False, and nothing done, where it is not so any more."""

    def delete(self, key: str) -> None:
        """Removes an object, if it is there."""

    def keys(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """Keys that begin with a prefix, in the order of their bytes, those after `after` only."""

    def label(self, prefix: str, since: dt.datetime) -> None:
        """Puts the store's labels on objects below a prefix that others than this store wrote since then."""

    def take_retries(self) -> int:
        """How many calls were tried again since the last time this was asked."""
