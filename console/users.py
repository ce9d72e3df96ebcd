"""The console's users: a file of names with role, password hash, authenticator and API key."""

from __future__ import annotations

import enum
import fcntl
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from fraud.errors import MisconfiguredError

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 5
"""Work factors of OWASP's password storage cheat sheet: 16 MiB a hash."""

_SALT_BYTES, _SCRYPT_BYTES = 16, 64

KEY_START = "fck_"
"""Begins every API key, so that a leaked one is recognised."""


class Role(enum.IntEnum):
    """What a user may do; each role may do all that the lower ones may."""

    VIEWER = 0
    ANALYST = 1
    LEAD = 2
    ADMIN = 3


class Account(NamedTuple):
    """A user.

    Attributes:
        role: what they may do.
        password: its hash; None for a machine, which cannot sign in.
        totp: secret of the authenticator (RFC 6238), in base 32; None where the password is enough.
        key: SHA-256 of the API key; None for people.
    """

    role: Role
    password: str | None = None
    totp: str | None = None
    key: str | None = None


def hash_password(password: str) -> str:
    """A salted scrypt hash (RFC 7914), as the users file keeps it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def hash_of_nobody() -> str:
    """What no password matches; to see that takes as long as with the hash of one."""
    return f"scrypt${secrets.token_hex(_SALT_BYTES)}${secrets.token_hex(_SCRYPT_BYTES)}"


def matches(password: str, stored: str) -> bool:
    """Whether a password is the one that was hashed."""
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=1 << 26, dklen=_SCRYPT_BYTES
    )


def key_hash(key: str) -> str:
    """What the users file keeps of an API key: 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


class UserFile:
    """The users of a file, read again when it changes.

    Args:
        file: JSON, by name.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._known: Mapping[str, Account] = {}

    def __call__(self) -> Mapping[str, Account]:
        """The users as the file has them now; a file that cannot be read leaves those that were known.

        Raises:
            MisconfiguredError: it cannot be read the first time.
        """
        with self._lock:
            try:
                found = self._file.stat()
                seen = (found.st_mtime_ns, found.st_size, found.st_ino)
                if seen != self._seen:
                    self._known, self._seen = self._read(), seen
            except (OSError, MisconfiguredError) as error:
                if self._seen is None:
                    raise self._refused(error) from None
                structlog.get_logger().warning("users_cannot_be_read", file=str(self._file), reason=str(error))
            return self._known

    def change(self, edit: Callable[[dict[str, Account]], object]) -> None:
        """Changes the users, one program at a time; a missing file has none.

        Args:
            edit: changes them in place; what it raises leaves the file as it is.

        Raises:
            MisconfiguredError: the file cannot be read or written.
        """
        with self._writing():
            users = dict(self._read()) if self._file.exists() else {}
            edit(users)
            entries = {
                name: {"role": one.role.name.lower()}
                | {field: value for field, value in one._asdict().items() if field != "role" and value is not None}
                for name, one in users.items()
            }
            draft = self._file.with_name(f".{self._file.name}.draft")
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(entries, indent=2) + "\n")
            draft.replace(self._file)

    def set_password(self, name: str, hashed: str) -> None:
        """Keeps a new password's hash for a user; errors as of `change`."""

        def edit(users: dict[str, Account]) -> None:
            users[name] = users[name]._replace(password=hashed)

        self.change(edit)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.with_name(f".{self._file.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise MisconfiguredError(f"--users {self._file}", f"cannot be written: {error.strerror}") from None

    def _read(self) -> Mapping[str, Account]:
        try:
            entries = json.loads(self._file.read_text())
            return {name: _account(entry) for name, entry in entries.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> MisconfiguredError:
        if isinstance(error, MisconfiguredError):
            return error
        remedy = "create one with `fraud users add NAME:ROLE`"
        return MisconfiguredError(f"--users {self._file}", f"cannot be read ({error!r}); {remedy}")


def _account(entry: Mapping[str, str]) -> Account:
    password, totp, key = (entry.get(name) for name in ("password", "totp", "key"))
    if password is None and key is None:
        raise KeyError("password")
    return Account(Role[entry["role"].upper()], password, totp, key)


def add_user(file: Path, name: str, role: Role) -> str:
    """Adds or replaces a user with a fresh random password; gives the password back, which is kept nowhere."""
    password = secrets.token_urlsafe(12)
    UserFile(file).change(lambda users: users.__setitem__(name, Account(role, hash_password(password))))
    return password
