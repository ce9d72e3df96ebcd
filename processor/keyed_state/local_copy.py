"""The local copy of a key group's state: memory-mapped files, shared by the executor's workers, disposable."""

from __future__ import annotations

import fcntl
import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from fraud.features.state import SHAPES, EntityState
from fraud.features.waiting import Change, WaitingLabels

Ints = npt.NDArray[np.int64]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TOKEN = "token"
_LABELS = "waiting"

_opened: dict[Path, MappedArrays] = {}


class MappedArrays:
    """The arrays of `fraud.features.state` in files of a folder.

    Attributes:
        checked: whether what is mapped was found sound, or was written by this process.
    """

    meta: Ints
    index: Ints
    rows: Ints
    slab: Ints
    sums: Ints
    odd: Ints
    counts: Ints

    def __init__(self, folder: Path) -> None:
        self._files = {name: f"{folder}/{name}" for name in SHAPES}
        self._mapped: dict[str, tuple[int, int]] = {}
        self.checked = False
        self.refresh()

    def refresh(self) -> None:
        """Maps what is missing, and what another process has made longer or replaced."""
        for name, (length, element) in SHAPES.items():
            found = _identity(self._files[name])
            if found is None:
                self._map(name, length)
            elif self._mapped.get(name) != found:
                self.checked = False
                self._map(name, max(1, found[1] // _width(element)))

    def resize(self, name: str, length: int) -> None:
        """See `fraud.features.state.Arrays`."""
        self._map(name, length)

    def _map(self, name: str, length: int) -> None:
        element = SHAPES[name][1]
        file = os.open(self._files[name], os.O_RDWR | os.O_CREAT, 0o666)
        try:
            size = length * _width(element)
            os.ftruncate(file, size)
            mapped = mmap.mmap(file, size)
            self._mapped[name] = _named(os.fstat(file))
        finally:
            os.close(file)
        setattr(self, name, np.frombuffer(mapped, np.int64).reshape(length, *element))


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


@cache
def _width(element: tuple[int, ...]) -> int:
    return 8 * int(np.prod(element, dtype=np.int64))


def _identity(file: str) -> tuple[int, int] | None:
    """Of a file, and how long it is; None where there is none."""
    try:
        return _named(os.stat(file))  # noqa: PTH116 - as text, which takes a third of the time
    except FileNotFoundError:
        return None


def _named(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_size


class LocalCopy:
    """One key group's copy while this process alone may touch it; see `open_copy`.

    Attributes:
        state: what the kernel works on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if folder in _opened:
            _opened[folder].refresh()
        else:
            _opened[folder] = MappedArrays(folder)
        self._arrays = _opened[folder]
        self._waiting = _read(folder / _LABELS)
        self.state = EntityState(self._arrays)

    def holds(self, token: bytes) -> bool:
        """Whether the copy is sound and of the version that `token` names."""
        file = self._folder / _TOKEN
        if not file.exists() or file.read_bytes() != self._name(token):
            return False
        if not self._arrays.checked:
            self._arrays.checked = self.state.is_sound()
        if self._arrays.checked and self._waiting:
            self.state.waiting.apply(msgspec.msgpack.decode(self._waiting, type=Change))
        return self._arrays.checked

    def begin(self) -> None:
        """Declares that the copy is about to change: until `commit`, it holds no version."""
        (self._folder / _TOKEN).unlink(missing_ok=True)

    def commit(self, token: bytes) -> None:
        """Names the version that the copy now holds."""
        waiting = self.state.waiting
        kept = msgspec.msgpack.encode(waiting.whole()) if len(waiting) else b""
        if kept != self._waiting:
            (self._folder / _LABELS).write_bytes(kept)
            self._waiting = kept
        (self._folder / _TOKEN).write_bytes(self._name(token))

    def _name(self, token: bytes) -> bytes:
        """What the token's file holds: the counters and the waiting labels have no checksum of their own."""
        check = zlib.crc32(self._waiting, zlib.crc32(self._arrays.meta.tobytes()))
        return b"%s %s %08x" % (_boot_id(), token, check)

    def reset(self) -> None:
        """Empties the copy."""
        self.begin()
        for name in (*SHAPES, _LABELS):
            (self._folder / name).unlink(missing_ok=True)
        self._arrays.refresh()
        self._arrays.checked = True
        self._waiting, self.state.waiting = b"", WaitingLabels()


@contextmanager
def open_copy(folder: Path) -> Iterator[LocalCopy]:
    """Opens a key group's copy for one batch; other processes, and other attempts, wait.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield LocalCopy(folder)


@cache
def _boot_id() -> bytes:
    """Names the run of the machine: pages that had not reached the disk when it went down are lost, tokens or not."""
    return _BOOT_ID.read_bytes().strip() if _BOOT_ID.exists() else b""
