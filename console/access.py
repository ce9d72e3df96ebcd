"""Who may do what: users with hashed passwords, ordered roles, sessions and what they may see."""

from __future__ import annotations

import enum
import hashlib
import hmac
import math
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from console import totp
from console.audit import Audit, log_audit
from console.lockout import Lockout, network_of
from console.users import Account, hash_of_nobody, hash_password, key_hash, matches
from console.users import Role as Role  # who works with users finds both here
from fraud.errors import FraudError

SESSION_S = 8 * 3600
IDLE_S = 15 * 60.0
"""PCI DSS 4.0, 8.2.8."""

FRESH_S = 2.0
"""How long a session that was read from its store is taken for granted."""

_KEPT_EVERY_S = 30.0
"""Most seconds of use that the store does not know of."""

Clock = Callable[[], float]
"""Seconds since the epoch."""


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


@dataclass
class _Open:
    """A session as this process knows it.

    Attributes:
        name: of the user.
        role: that a provider of identities gave; None for a user of our own, who has it from the users.
        mark: of the password that it began with.
        ends_at: when it ends at the latest.
        used_s: when somebody used it last.
        kept_s: the same as the store has it.
        read_s: when it was read from the store.
    """

    name: str
    role: Role | None
    mark: str
    ends_at: float
    used_s: float
    kept_s: float
    read_s: float


class SessionStore(Protocol):
    """See `adapters.files.sessions.StoredSessions`."""

    def get(self, name: str) -> dict[str, Any] | None: ...  # noqa: D102

    def put(self, name: str, session: dict[str, Any]) -> None: ...  # noqa: D102

    def delete(self, name: str) -> None: ...  # noqa: D102

    def names(self) -> Iterable[str]: ...  # noqa: D102

    def use_code(self, user: str, step: int) -> bool: ...  # noqa: D102


class SessionMemory:
    """Sessions of one process, which end with it; see `SessionStore`."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, Any]] = {}
        self._codes: set[tuple[str, int]] = set()

    def get(self, name: str) -> dict[str, Any] | None:  # noqa: D102
        return self._sessions.get(name)

    def put(self, name: str, session: dict[str, Any]) -> None:  # noqa: D102
        self._sessions[name] = session

    def delete(self, name: str) -> None:  # noqa: D102
        self._sessions.pop(name, None)

    def names(self) -> Iterable[str]:  # noqa: D102
        return list(self._sessions)

    def use_code(self, user: str, step: int) -> bool:  # noqa: D102
        new = (user, step) not in self._codes
        self._codes.add((user, step))
        return new


class CodeNeededError(FraudError):
    """The password is right, and the code of the authenticator is missing."""


class _Fault(enum.Enum):
    """What is wrong with a try to sign in."""

    PASSWORD = ""
    CODE = ", wrong code"
    NO_CODE = ", no code"


class Access:
    """Signs users in and out.

    Sessions lie in a store, so that they outlast a restart and hold in every console. What changes there, a sign-out or
    the end of a user, counts here within `FRESH_S`.

    Args:
        users: as they are now.
        clock: seconds since the epoch.
        idle_s: how long a session lasts that nobody uses.
        audit: called with every sign-in, and with every one that failed.
        sessions: where sessions are kept.
        set_password: keeps a new password's hash for a user; None where passwords cannot be changed here.
    """

    def __init__(
        self,
        users: Callable[[], Mapping[str, Account]],
        clock: Clock,
        *,
        idle_s: float = IDLE_S,
        audit: Audit = log_audit,
        sessions: SessionStore | None = None,
        set_password: Callable[[str, str], None] | None = None,
    ) -> None:
        self._users = users
        self._clock = clock
        self._idle_s = idle_s
        self._audit = audit
        self._store: SessionStore = SessionMemory() if sessions is None else sessions
        self._set_password = set_password
        self._known: dict[str, _Open] = {}
        # Strangers' names make no room among the users', so that no flood of them unlocks one.
        self._names, self._strangers, self._addresses = Lockout(), Lockout(), Lockout()
        self._decided = threading.Condition()
        self._nobody = hash_of_nobody()

    def names(self, lowest: Role) -> list[str]:
        """The users of a role or a higher one, in the order of their names; no machines."""
        return sorted(name for name, account in self._users().items() if account.role >= lowest and account.password)

    def sign_in(self, name: str, password: str, address: str, code: str = "") -> tuple[str, Session] | None:
        """A session with its secret token; None where name, password or code is wrong.

        Failures count against the name and the address, each of which locks; an unknown name locks as a known one does,
        and costs the same time. Who signs in counts against nobody, however many do. Tries at the same time do not pass
        the limit together: one that could waits until those before it are decided.

        Args:
            name: as given.
            password: as given.
            address: the caller's.
            code: of the authenticator, where the user has one.

        Raises:
            TooManyFailuresError: name or address failed too often lately.
            CodeNeededError: the password is right and the code is missing, which is no failure.
        """
        network = network_of(address)
        account = self._checked(name, password, network, code)
        if account is None:
            return None
        token = secrets.token_urlsafe(32)
        now = self._clock()
        held = _Open(name, None, _mark(account), now + SESSION_S, now, now, now)
        self._keep(_digest(token), held)
        self._audit(name, "sign_in", network)
        return token, _session(token, held, account)

    def enter(self, name: str, role: Role, address: str) -> tuple[str, Session]:
        """A session with its secret token for somebody whom a provider of identities vouches for.

        Raises:
            ForbiddenError: a user of our own has the name, whose work it would be taken for.
        """
        if name in self._users():
            raise ForbiddenError(f"{name} is a user with a password here; sign in with it, or have that one removed")
        account, token, now = Account(role), secrets.token_urlsafe(32), self._clock()
        held = _Open(name, role, _mark(account), now + SESSION_S, now, now, now)
        self._keep(_digest(token), held)
        self._audit(name, "sign_in", f"{network_of(address)}, by the provider, as {role.name.lower()}")
        return token, _session(token, held, account)

    def _checked(self, name: str, password: str, network: str, code: str | None) -> Account | None:
        """The account of a name whose password is right and, where it has one and `code` is not None, its code.

        What is wrong is counted, and forgets nothing; what is right forgets the failures of this name.
        """
        account = self._users().get(name)
        known = account is not None and account.password is not None
        names = self._names if known else self._strangers
        self._begin(names, name, network)
        fault: _Fault | None = _Fault.PASSWORD
        try:
            fault = self._fault(name, account, password, code)
        finally:
            locks = self._end(names, name, network, fault)
        if fault is _Fault.NO_CODE:
            raise CodeNeededError("give the code of your authenticator too")
        if fault is None:
            return account
        # What a stranger typed as a name may be a password.
        shown = name if known else "(unknown)"
        self._audit(shown, "sign_in_failed", f"{network}{fault.value}{', locked' if locks else ''}")
        return None

    def _fault(self, name: str, account: Account | None, password: str, code: str | None) -> _Fault | None:
        """What is wrong with a try; None where nothing is."""
        stored = None if account is None else account.password
        right = matches(password, self._nobody if stored is None else stored)
        if account is None or stored is None or not right:
            return _Fault.PASSWORD
        if account.totp is None or code is None:
            return None
        if not code:
            return _Fault.NO_CODE
        step = totp.step_of(account.totp, code, self._clock())
        return None if step is not None and self._store.use_code(name, step) else _Fault.CODE

    def _begin(self, names: Lockout, name: str, network: str) -> None:
        """Waits until a try of a name from an address can neither pass nor reach a limit beside those that run."""
        with self._decided:
            while True:
                now = self._clock()
                wait_s = max(names.locked_s(name, now), self._addresses.locked_s(network, now))
                if wait_s > 0:
                    raise TooManyFailuresError("too many failed sign-ins", wait_s)
                if names.takes(name) and self._addresses.takes(network):
                    break
                self._decided.wait()
            names.begin(name)
            self._addresses.begin(network)

    def _end(self, names: Lockout, name: str, network: str, fault: _Fault | None) -> bool:
        """Counts a try that is decided; whether name or address is locked now."""
        with self._decided:
            now = self._clock()
            for kept, key in ((names, name), (self._addresses, network)):
                kept.end(key)
                if fault is None:
                    kept.forgive(key, name)
                elif fault is not _Fault.NO_CODE:
                    kept.add(key, name, now)
            self._decided.notify_all()
            return names.locked_s(name, now) > 0 or self._addresses.locked_s(network, now) > 0

    def session(self, token: str | None, *, used: bool = True) -> Session | None:
        """The running session of a token.

        Args:
            token: as the cookie holds it.
            used: whether somebody asks, so that the session is not idle; a page that refreshes itself is nobody.

        Raises:
            ServiceError: the store is out of reach.
        """
        if not token:
            return None
        name, now = _digest(token), self._clock()
        held = self._find(name, now)
        account = None if held is None else self._account(held)
        if held is None or account is None or _mark(account) != held.mark or not self._runs(held, now):
            self._known.pop(name, None)
            return None
        if used:
            held.used_s = now
            if now - held.kept_s >= min(_KEPT_EVERY_S, self._idle_s / 10):
                self._keep(name, held)
        return _session(token, held, account)

    def _account(self, held: _Open) -> Account | None:
        """Whose session it is; a user of our own who has the name of a provider's by now ends that one's."""
        own = self._users().get(held.name)
        if held.role is None:
            return own
        return Account(held.role) if own is None else None

    def machine(self, key: str) -> Session | None:
        """What a program may do that gives an API key; it has no session that could end."""
        wanted = key_hash(key)
        for name, account in self._users().items():
            if account.key is not None and hmac.compare_digest(account.key, wanted):
                return Session(User(name, account.role), f"key of {name}", math.inf)
        return None

    def change_password(self, session: Session, old: str, new: str, address: str) -> None:
        """Gives a user a new password; all their sessions end.

        Raises:
            ForbiddenError: the old one is wrong, or passwords cannot be changed here.
            TooManyFailuresError: as of `sign_in`.
        """
        if self._set_password is None:
            raise ForbiddenError("passwords cannot be changed here; `fraud users password` can")
        name, network = session.user.name, network_of(address)
        if self._checked(name, old, network, None) is None:
            raise ForbiddenError("the old password is wrong")
        self._set_password(name, hash_password(new))
        self._audit(name, "password changed", "")

    def sign_out(self, token: str | None) -> None:
        """Ends a session."""
        name = _digest(token or "")
        held = self._find(name, self._clock())
        self._known.pop(name, None)
        if held is not None:
            self._store.delete(name)
            self._audit(held.name, "sign_out", "")

    def sweep(self) -> None:
        """Removes sessions that have ended."""
        now = self._clock()
        for name in list(self._store.names()):
            held = self._find(name, now)
            if held is None or not self._runs(held, now):
                self._known.pop(name, None)
                self._store.delete(name)

    def _find(self, name: str, now: float) -> _Open | None:
        """A session, read again from the store where that was some time ago."""
        known = self._known.get(name)
        if known is not None and now - known.read_s < FRESH_S:
            return known
        kept = self._store.get(name)
        if kept is None:
            return None
        used_s = max(kept["used_s"], known.used_s if known is not None else 0.0)
        role = Role[kept["role"]] if kept.get("role") else None
        held = _Open(kept["user"], role, kept["mark"], kept["ends_at"], used_s, kept["used_s"], now)
        self._known[name] = held
        return held

    def _keep(self, name: str, held: _Open) -> None:
        held.kept_s = held.used_s
        kept: dict[str, Any] = {"user": held.name, "mark": held.mark, "ends_at": held.ends_at, "used_s": held.used_s}
        kept |= {"role": None if held.role is None else held.role.name}
        self._store.put(name, kept)
        self._known[name] = held

    def _runs(self, held: _Open, now: float) -> bool:
        return now < held.ends_at and now < held.used_s + self._idle_s


def _session(token: str, held: _Open, account: Account) -> Session:
    csrf = hashlib.sha256(f"csrf {token}".encode()).hexdigest()
    return Session(User(held.name, account.role), csrf, held.ends_at)


def _digest(token: str) -> str:
    """What the store has in place of a token, so that nobody who reads it can use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _mark(account: Account) -> str:
    """Changes with the password, whose sessions end then."""
    return hashlib.sha256(f"mark {account.password} {account.totp}".encode()).hexdigest()[:16]
