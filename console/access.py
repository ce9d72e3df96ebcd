"""Who may do what: users with hashed passwords, ordered roles, sessions and the limit on failed sign-ins."""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraud.errors import FraudError, MisconfiguredError

SESSION_S = 8 * 3600
FAILURES = 5
FAILURE_WINDOW_S = 300.0

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 5
"""Work factors of OWASP's password storage cheat sheet: 16 MiB a hash."""

Clock = Callable[[], float]
"""Seconds since the epoch."""


class Role(enum.IntEnum):
    """What a user may do; each role may do all that the lower ones may."""

    VIEWER = 0
    ANALYST = 1
    LEAD = 2
    ADMIN = 3


class ForbiddenError(FraudError):
    """The user's role does not allow it."""


class TooManyFailuresError(FraudError):
    """Too many failed sign-ins lately; wait."""


@dataclass(frozen=True)
class User:
    """Someone who has signed in."""

    name: str
    role: Role

    def require(self, role: Role) -> None:
        """Stops what the role does not allow.

        Raises:
            ForbiddenError: the user's role is lower.
        """
        if self.role < role:
            raise ForbiddenError(f"this needs the role {role.name.lower()}")


@dataclass(frozen=True)
class Session:
    """A user's session; `csrf` must come with every change."""

    user: User
    csrf: str
    ends_at: float


def hash_password(password: str) -> str:
    """A salted scrypt hash (RFC 7914), as the users file keeps it."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def matches(password: str, stored: str) -> bool:
    """Whether a password is the one that was hashed."""
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=1 << 26)


def read_users(file: Path) -> dict[str, tuple[Role, str]]:
    """Role and password hash of each user.

    Raises:
        MisconfiguredError: the file is missing or malformed.
    """
    try:
        entries = json.loads(file.read_text())
        return {name: (Role[entry["role"].upper()], str(entry["password"])) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "create one with `fraud console --add-user NAME:ROLE`"
        raise MisconfiguredError(f"console.users {file}", f"cannot be read ({error!r}); {remedy}") from None


def add_user(file: Path, name: str, role: Role) -> str:
    """Adds or replaces a user with a fresh random password; gives the password back, which is kept nowhere."""
    users = read_users(file) if file.exists() else {}
    password = secrets.token_urlsafe(12)
    users[name] = (role, hash_password(password))
    entries = {user: {"role": held.name.lower(), "password": stored} for user, (held, stored) in users.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(entries, indent=2) + "\n")
    return password


class Access:
    """Signs users in and out. Sessions live in this process: a restart ends them.

    Args:
        users: as `read_users` gives them.
        clock: the time.
    """

    def __init__(self, users: Mapping[str, tuple[Role, str]], clock: Clock) -> None:
        self._users = users
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._failures: defaultdict[str, deque[float]] = defaultdict(deque)
        self._nobody = hash_password(secrets.token_hex())

    def sign_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        """A session with its secret token; None where name or password is wrong.

        Args:
            name: as given; an unknown one costs the same time as a wrong password.
            password: as given.
            address: the caller's; failures are counted by it, so that nobody can lock another's account.

        Raises:
            TooManyFailuresError: the address failed too often lately.
        """
        now = self._clock()
        failures = self._failures[address]
        while failures and failures[0] < now - FAILURE_WINDOW_S:
            failures.popleft()
        if len(failures) >= FAILURES:
            raise TooManyFailuresError("too many failed sign-ins; wait a few minutes")
        role, stored = self._users.get(name, (Role.VIEWER, self._nobody))
        if not matches(password, stored) or name not in self._users:
            failures.append(now)
            return None
        del self._failures[address]
        self._sessions = {key: held for key, held in self._sessions.items() if held.ends_at > now}
        token = secrets.token_urlsafe(32)
        self._sessions[token] = Session(User(name, role), secrets.token_urlsafe(32), now + SESSION_S)
        return token, self._sessions[token]

    def session(self, token: str | None) -> Session | None:
        """The running session of a token."""
        session = self._sessions.get(token or "")
        return session if session is not None and session.ends_at > self._clock() else None

    def sign_out(self, token: str | None) -> None:
        """Ends a session."""
        self._sessions.pop(token or "", None)
