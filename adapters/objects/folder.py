"""Objects as files below a folder."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.objects.store import StoredObject
from fraud.errors import RefusedError

_LOCK = ".lock"
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderObjects:
    """See `adapters.objects.store.ObjectStore`. Names that begin with a dot are no keys.

    Writers take turns by a lock on a file in the folder; readers need none, as a file appears whole under its name.

    Args:
        folder: made by the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def require(self) -> None:
        """See `ObjectStore`. A folder that is not there yet has no keys."""
        with _refusing("list", self._folder):
            if self._folder.exists():
                next(self._folder.iterdir(), None)

    def get(self, key: str) -> StoredObject | None:
        """See `ObjectStore`."""
        file = self._folder / key
        with _refusing("get", file):
            try:
                data = file.read_bytes()
            except _MISSING:
                return None
        return StoredObject(data, hashlib.sha256(data).hexdigest())

    def tail(self, key: str, size: int) -> bytes | None:
        """See `ObjectStore`."""
        file = self._folder / key
        with _refusing("get", file):
            try:
                with file.open("rb") as opened:
                    opened.seek(-min(size, os.fstat(opened.fileno()).st_size), os.SEEK_END)
                    return opened.read()
            except _MISSING:
                return None

    def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        with self._writing(key) as file:
            self._write(file, data)

    def put_new(self, key: str, data: bytes) -> bool:
        """See `ObjectStore`."""
        with self._writing(key) as file:
            if file.exists():
                return False
            self._write(file, data)
        return True

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """See `ObjectStore`."""
        with self._writing(key) as file:
            standing = self.get(key)
            if standing is None or standing.tag != tag:
                return False
            self._write(file, data)
        return True

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        with self._writing(key) as file:
            file.unlink(missing_ok=True)

    def keys(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """See `ObjectStore`."""
        with _refusing("list", self._folder):
            below = self._folder / prefix.rpartition("/")[0]
            found = [file.relative_to(self._folder) for file in below.rglob("*") if file.is_file()]
        keys = [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]
        yield from sorted(key for key in keys if key.startswith(prefix) and key > after)

    def label(self, prefix: str, since: dt.datetime) -> None:
        """Files bear no labels."""

    def take_retries(self) -> int:
        """None: a folder answers or refuses."""
        return 0

    @contextmanager
    def _writing(self, key: str) -> Iterator[Path]:
        """The file of a key while no other process writes."""
        file = self._folder / key
        with _refusing("put", file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with (self._folder / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield file

    def _write(self, file: Path, data: bytes) -> None:
        # A writer that is killed leaves its draft behind, which the next one writes over.
        draft = file.with_name(f".{file.name}.draft")
        draft.write_bytes(data)
        draft.replace(file)


@contextmanager
def _refusing(operation: str, file: Path) -> Iterator[None]:
    """What the system refuses becomes an error of ours."""
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "error")
        raise RefusedError("folder", operation, code, f"{file}: {error.strerror}") from None
