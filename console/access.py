"""Who may do what: users with hashed passwords, ordered roles, sessions and what they may see."""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import math
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.audit import Audit, log_audit
from console.lockout import Lockout, network_of
from fraud.errors import FraudError, MisconfiguredError

SESSION_S = 8 * 3600
IDLE_S = 15 * 60.0
"""PCI DSS 4.0, 8.2.8."""

HASHES = 8
"""Most passwords that are hashed at the same time: each takes 16 MiB and a thread that others wait for."""

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 5
"""Work factors of OWASP's password storage cheat sheet: 16 MiB a hash."""

Clock = Callable[[], float]
"""Seconds that never go back."""


class Role(enum.IntEnum):
    """What a user may do; each role may do all that the lower ones may."""

    VIEWER = 0
    ANALYST = 1
    LEAD = 2
    ADMIN = 3


class ForbiddenError(FraudError):
    """The user's role does not allow it."""


class TooManyFailuresError(FraudError):
    """Too many failed sign-ins lately, or too many at the same time; wait.

    Args:
        what: what there was too much of.
        wait_s: seconds until it is worth another try.
    """

    def __init__(self, what: str, wait_s: float) -> None:
        minutes = math.ceil(wait_s / 60)
        super().__init__(f"{what}; try again in {minutes} minute{'s' if minutes != 1 else ''}")
        self.wait_s = math.ceil(wait_s)


def mask(token: str) -> str:
    """A card token that a viewer may see: its end, at most half of it.

    >>> mask("tok_12345678"), mask("tok1"), mask("t")
    ('…5678', '…k1', '…')
    """
    return "…" + token[len(token) - min(4, len(token) // 2) :]


def _forget(_: str) -> None:
    """Nobody asks what was seen: the user acts in a program, not before a page."""


@dataclass(frozen=True)
class User:
    """Someone who has signed in.

    Attributes:
        name: as in the file of users.
        role: what they may do.
        saw: called with what stands for a card whenever its token is shown in full.
    """

    name: str
    role: Role
    saw: Callable[[str], None] = field(default=_forget, compare=False, repr=False)

    def card(self, token: str, of: str) -> str:
        """A card token as this user may see it: in full from analyst on, which is noted as a read of `of`."""
        if self.role < Role.ANALYST:
            return mask(token)
        self.saw(of)
        return token

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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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


@dataclass
class _Open:
    session: Session
    used_s: float


class Access:
    """Signs users in and out. Sessions live in this process: a restart ends them.

    Args:
        users: as `read_users` gives them.
        clock: the time.
        idle_s: how long a session lasts that nobody uses.
        audit: called with every sign-in, and with every one that failed.
    """

    def __init__(
        self,
        users: Mapping[str, tuple[Role, str]],
        clock: Clock,
        *,
        idle_s: float = IDLE_S,
        audit: Audit = log_audit,
    ) -> None:
        self._users = users
        self._clock = clock
        self._idle_s = idle_s
        self._audit = audit
        self._sessions: dict[str, _Open] = {}
        # Strangers' names make no room among the users', so that no flood of them unlocks one.
        self._names, self._strangers, self._addresses = Lockout(max(1, len(users))), Lockout(), Lockout()
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(HASHES)
        self._nobody = hash_password(secrets.token_hex())

    def sign_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        """A session with its secret token; None where name or password is wrong.

        A try counts as failed before it is checked, so that tries at the same time do not pass the limit together. It
        counts against the name and the address, each of which locks; an unknown name locks as a known one does, and
        costs the same time.

        Args:
            name: as given.
            password: as given.
            address: the caller's.

        Raises:
            TooManyFailuresError: name or address failed too often lately, or too many sign in right now.
        """
        if not self._hashing.acquire(blocking=False):
            raise TooManyFailuresError("too many sign in at the same time", 1.0)
        try:
            known = name in self._users
            names, network = self._names if known else self._strangers, network_of(address)
            with self._lock:
                now = self._clock()
                wait_s = max(names.locked_s(name, now), self._addresses.locked_s(network, now))
                if wait_s > 0:
                    raise TooManyFailuresError("too many failed sign-ins", wait_s)
                names.add(name, name, now)
                self._addresses.add(network, name, now)
                locks = names.locked_s(name, now) > 0 or self._addresses.locked_s(network, now) > 0
            role, stored = self._users.get(name, (Role.VIEWER, self._nobody))
            right = matches(password, stored) and known
        finally:
            self._hashing.release()
        if not right:
            # What a stranger typed as a name may be a password.
            self._audit(name if known else "(unknown)", "sign_in_failed", f"{network}{', locked' if locks else ''}")
            return None
        token = secrets.token_urlsafe(32)
        session = Session(User(name, role), secrets.token_urlsafe(32), now + SESSION_S)
        with self._lock:
            names.forgive(name, name)
            self._addresses.forgive(network, name)
            self._sessions = {key: each for key, each in self._sessions.items() if self._runs(each)}
            self._sessions[token] = _Open(session, now)
        self._audit(name, "sign_in", network)
        return token, session

    def session(self, token: str | None, *, used: bool = True) -> Session | None:
        """The running session of a token.

        Args:
            token: as the cookie holds it.
            used: whether somebody asks, so that the session is not idle; a page that refreshes itself is nobody.
        """
        held = self._sessions.get(token or "")
        if held is None or not self._runs(held):
            return None
        if used:
            held.used_s = self._clock()
        return held.session

    def sign_out(self, token: str | None) -> None:
        """Ends a session."""
        with self._lock:
            held = self._sessions.pop(token or "", None)
        if held is not None:
            self._audit(held.session.user.name, "sign_out", "")

    def _runs(self, held: _Open) -> bool:
        now = self._clock()
        return now < held.session.ends_at and now < held.used_s + self._idle_s
