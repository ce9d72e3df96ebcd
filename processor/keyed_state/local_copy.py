"""The local copy of a key group's state: memory-mapped, shared by the executor's workers, disposable at any time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

_MAP_BYTES = 8 << 30  # address space, not disk: the file grows as it is filled
_TOKEN = b"token"
_STATE = b"s:"

_environments: dict[Path, lmdb.Environment] = {}


class LocalCopy:
    """One key group's copy inside a write transaction; see `open_copy`."""

    def __init__(self, transaction: lmdb.Transaction, database: Any) -> None:
        self._transaction = transaction
        self._database = database

    @property
    def token(self) -> bytes:
        """The version that the copy holds; empty when it holds none."""
        return bytes(self._transaction.get(_TOKEN) or b"")

    def read(self, ids: Sequence[str]) -> list[bytes | None]:
        """The states of entities."""
        keys = [_STATE + known.encode() for known in ids]
        found = {bytes(key): bytes(state) for key, state in self._transaction.cursor().getmulti(keys)}
        return [found.get(key) for key in keys]

    def write(self, ids: Sequence[str], states: Sequence[bytes]) -> None:
        """Keeps new states."""
        pairs = [(_STATE + known.encode(), state) for known, state in zip(ids, states, strict=True)]
        self._transaction.cursor().putmulti(pairs)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entity ids and states."""
        cursor = self._transaction.cursor()
        found = cursor.set_range(_STATE)
        while found and bytes(cursor.key()).startswith(_STATE):
            yield bytes(cursor.key())[len(_STATE) :], bytes(cursor.value())
            found = cursor.next()

    def forget(self, known: bytes) -> None:
        """Drops an entity."""
        self._transaction.delete(_STATE + known)

    def reset(self, items: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Replaces everything."""
        self._transaction.drop(self._database, delete=False)
        self._transaction.cursor().putmulti([(_STATE + known, state) for known, state in items])

    def mark(self, token: bytes) -> None:
        """Names the version that the copy holds once the transaction commits."""
        self._transaction.put(_TOKEN, token)


@contextmanager
def open_copy(folder: Path) -> Iterator[LocalCopy]:
    """Opens a key group's copy for one batch; commits at the end, and leaves it as it was after an error.

    A copy that cannot be opened is thrown away: its empty successor is rebuilt from Spark's state.
    """
    environment = _open(folder)
    with environment.begin(write=True) as transaction:
        yield LocalCopy(transaction, environment.open_db(txn=transaction))


def _open(folder: Path) -> lmdb.Environment:
    if folder not in _environments:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _environments[folder] = _environment(folder)
        except lmdb.Error:
            shutil.rmtree(folder)
            folder.mkdir(parents=True)
            _environments[folder] = _environment(folder)
    return _environments[folder]


def _environment(folder: Path) -> lmdb.Environment:
    # Losing the copy costs a rebuild, so nothing waits for the disk.
    return lmdb.open(str(folder), map_size=_MAP_BYTES, sync=False, metasync=False, writemap=True, max_readers=64)
