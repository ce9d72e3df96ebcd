"""The chain of audit lines in a store of objects, written by any number of programs at the same time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from adapters.objects.store import ObjectStore
from fraud.audit import START, AuditLine, Checked, Entry, Head, chained, check
from fraud.errors import RetryableError

SEGMENT = 1_000
"""Lines of an object; each writing writes one object again."""

_ATTEMPTS = 50
"""Each is lost only where another program's writing won."""

_FOLDER = "audit/"


class _Tail(NamedTuple):
    key: str
    data: bytes
    tag: str

    @property
    def head(self) -> Head:
        """Where the chain goes on: after the last line, or what stands in its place, which `check` names."""
        texts = self.data.decode(errors="replace").removesuffix("\n").split("\n")
        try:
            last = AuditLine.parse(texts[-1])
        except ValueError:
            return Head(_number(self.key) + len(texts) - 1, hashlib.sha256(self.data).hexdigest())
        return Head(last.number, last.hash)


class AuditChain:
    """One chain, whichever programs write: each writing holds only where nobody else's came first.

    Lines lie in objects `audit/NUMBER.jsonl`, named by the number of their first line.

    Args:
        objects: where.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._last_key = ""
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it lies, for messages."""
        return self._objects.address

    def append(self, entries: Sequence[Entry]) -> list[AuditLine]:
        """Puts entries at the end of the chain; they stand there when this returns.

        Raises:
            ServiceError: the store is out of reach or refuses.
            RetryableError: others wrote each time.
        """
        with self._lock:
            written: list[AuditLine] = []
            for _ in range(_ATTEMPTS):
                if written and next(self.newest(written[-1].number + 1), None) == written[-1]:
                    return written  # the answer to an earlier attempt was lost, and it had won
                tail = self._tail()
                written = chained(START if tail is None else tail.head, entries)
                if self._write(tail, written):
                    return written
        raise RetryableError(f"{self.address}: others wrote the audit log {_ATTEMPTS} times meanwhile")

    def head(self) -> Head:
        """The end of the chain."""
        with self._lock:
            tail = self._tail()
        return START if tail is None else tail.head

    def check(self, known: Head | None = None) -> Checked:
        """Looks at every line; see `fraud.audit.check`."""
        return check(self._texts(), known)

    def newest(self, before: int | None = None) -> Iterator[AuditLine]:
        """Lines from the newest back, those below a number only; a damaged one is left out, as `check` names it."""
        wanted = [key for key in self._objects.keys(_FOLDER) if before is None or key < _key(before)]
        for key in reversed(wanted):
            for text in reversed(self._read(key)):
                try:
                    line = AuditLine.parse(text)
                except ValueError:
                    continue
                if before is None or line.number < before:
                    yield line

    def _write(self, tail: _Tail | None, lines: Sequence[AuditLine]) -> bool:
        data = "".join(f"{line.text}\n" for line in lines).encode()
        if tail is None or tail.data.count(b"\n") >= SEGMENT:
            return self._objects.put_new(_key(lines[0].number), data)
        end = b"" if tail.data.endswith(b"\n") else b"\n"
        return self._objects.replace(tail.key, tail.data + end + data, tail.tag)

    def _texts(self) -> Iterator[tuple[str, str]]:
        for key in self._objects.keys(_FOLDER):
            for text in self._read(key):
                yield key, text

    def _read(self, key: str) -> list[str]:
        found = self._objects.get(key)
        text = "" if found is None else found.data.decode(errors="replace")
        return text.removesuffix("\n").split("\n")

    def _tail(self) -> _Tail | None:
        """The newest object: the one that was it last time, or another that came after it was full."""
        key = self._last_key
        found = self._objects.get(key) if key else None
        while found is None or found.data.count(b"\n") >= SEGMENT:
            newer = list(self._objects.keys(_FOLDER, after="" if found is None else key))
            if not newer:
                break
            key = newer[-1]
            found = self._objects.get(key)
        self._last_key = key
        return None if found is None else _Tail(key, found.data, found.tag)


def _key(number: int) -> str:
    return f"{_FOLDER}{number:012d}.jsonl"


def _number(key: str) -> int:
    digits = key.removeprefix(_FOLDER).removesuffix(".jsonl")
    return int(digits) if digits.isdecimal() else 1
