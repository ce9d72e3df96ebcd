"""API keys: who may ask, for what, and how often."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from fraud.errors import MisconfiguredError
from fraud.records.schema import whole

Scope = Literal["decide", "read", "metrics"]
SCOPES: tuple[Scope, ...] = ("decide", "read", "metrics")
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_BYTES = 32
Key = TypeVar("Key", bound=msgspec.Struct)


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as the file has it.

    Attributes:
        name: whose it is; several keys may have one name, so that a key can be replaced.
        sha256: of the key; 256 random bits need no slow hash.
        scopes: what it is good for.
        per_second: most decisions a second.
    """

    name: str
    sha256: Annotated[str, msgspec.Meta(pattern=whole("[0-9a-f]{64}"))]
    scopes: frozenset[Scope]
    per_second: Annotated[int, msgspec.Meta(ge=1)] = 1_000


_decode_keys = msgspec.json.Decoder(list[ApiKey]).decode


class Allowance:
    """What may still be asked for: it grows with time, up to one second's.

    Args:
        per_second: how much it grows in a second.
        now_s: seconds that never go back.
    """

    def __init__(self, per_second: int, now_s: float) -> None:
        self.per_second = per_second
        self._left = float(per_second)
        self._at_s = now_s

    def may_take(self, count: int, now_s: float) -> bool:
        """Takes so many from it, unless it is used up."""
        limit = self.per_second
        self._left = min(float(limit), self._left + (now_s - self._at_s) * limit)
        self._at_s = now_s
        if self._left < min(count, limit):
            return False
        self._left -= count
        return True


class Caller(Allowance):
    """A key in use, with what it may still ask for."""

    def __init__(self, key: ApiKey, now_s: float) -> None:
        super().__init__(key.per_second, now_s)
        self.key = key


class Access:
    """The keys of a file, read again when it changes.

    Args:
        file: JSON, a list of `ApiKey`.
        clock: seconds that never go back.

    Raises:
        MisconfiguredError: the file holds no keys, or cannot be read.
    """

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._callers: dict[str, Caller] = {}
        self.reload()

    def reload(self) -> None:
        """Reads the file again; raises MisconfiguredError and keeps the old keys where it cannot be used."""
        keys = read_keys(self._file)
        if not keys:
            raise MisconfiguredError(
                f"decide.api_keys {self._file}", "has no key; make one: fraud decide --add-key NAME"
            )
        known, now_s = {caller.key: caller for caller in self._callers.values()}, self._clock()
        self._callers = {key.sha256: known.get(key) or Caller(key, now_s) for key in keys}

    def caller(self, authorization: bytes) -> Caller | None:
        """Who sends this header; None where no key of ours stands in it."""
        kind, _, token = authorization.partition(b" ")
        if kind.lower() != b"bearer":
            return None
        return self._callers.get(hashlib.sha256(token.strip()).hexdigest())


def read_keys(file: Path) -> list[ApiKey]:
    """The keys of a file; see `keys_in`."""
    return keys_in(file, "decide.api_keys", _decode_keys)


def keys_in(file: Path, setting: str, decode: Callable[[bytes], list[Key]]) -> list[Key]:
    """The keys of a file; none where there is no file.

    Args:
        file: JSON, a list of them.
        setting: that names the file.
        decode: reads the list.

    Raises:
        MisconfiguredError: it cannot be read.
    """
    try:
        return decode(file.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MisconfiguredError(f"{setting} {file}", str(error)) from None


def add_key(file: Path, name: str, scopes: frozenset[Scope], per_second: int) -> str:
    """Adds a new key to the file; gives the key, which nothing else ever shows.

    Raises:
        MisconfiguredError: the name is none, or the file cannot be read.
    """
    check_name("--add-key", name)
    token = "fd_" + secrets.token_bytes(_BYTES).hex().translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop"))
    key = ApiKey(name, hashlib.sha256(token.encode()).hexdigest(), scopes, per_second)
    write_keys(file, [*read_keys(file), key])
    return token


def check_name(flag: str, name: str) -> None:
    """Raises MisconfiguredError where a key cannot have this name."""
    if not _NAME.fullmatch(name):
        raise MisconfiguredError(f"{flag} {name}", "a name is 1 to 64 small letters, digits and dashes")


def remove_oldest_key(file: Path, name: str) -> int:
    """Removes the oldest key of a name; how many keys the name has left.

    Raises:
        MisconfiguredError: no key has the name.
    """
    keys = read_keys(file)
    oldest = next((place for place, key in enumerate(keys) if key.name == name), None)
    if oldest is None:
        raise MisconfiguredError(f"--remove-key {name}", f"{file} has no such key")
    del keys[oldest]
    write_keys(file, keys)
    return sum(key.name == name for key in keys)


def write_keys(file: Path, keys: Sequence[msgspec.Struct]) -> None:
    """Replaces the keys of a file at once; nobody else on the machine may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(keys), indent=2))
    draft.chmod(0o600)
    draft.replace(file)
