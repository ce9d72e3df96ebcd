"""Signing in with a provider of OpenID Connect in place of a password of our own."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from adapters.oidc.provider import Pending, SignInRefusedError
from console.access import Access, Session, SessionStore
from console.users import Role

AWAY_S = 600.0
"""How long somebody may be at the provider."""


class Provider(Protocol):
    """See `adapters.oidc.provider.OpenIdProvider`."""

    def address(self, pending: Pending) -> str: ...  # noqa: D102

    def claims(self, pending: Pending, state: str, code: str, issuer: str | None = None) -> Mapping[str, Any]: ...  # noqa: D102


class SingleSignOn:
    """Sends people to the provider, and opens a session for those who come back with a role.

    Args:
        provider: of identities.
        access: where sessions are opened.
        sessions: where a sign-in under way is kept, so that any console can end it.
        roles: role of each group of the provider's; of several the highest counts.
        groups_claim: where a token has the groups.
        name_claim: where it has the name that the console shows and writes down.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        provider: Provider,
        access: Access,
        sessions: SessionStore,
        roles: Mapping[str, Role],
        groups_claim: str,
        name_claim: str,
        clock: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._access = access
        self._sessions = sessions
        self._roles = roles
        self._groups_claim = groups_claim
        self._name_claim = name_claim
        self._clock = clock

    def begin(self) -> tuple[str, str]:
        """A secret for the browser to keep, and the address at which to sign in."""
        token, pending, now = secrets.token_urlsafe(32), Pending.new(), self._clock()
        address = self._provider.address(pending)
        kept = {"user": "", "mark": "", "ends_at": now + AWAY_S, "used_s": now, "pending": list(pending)}
        self._sessions.put(_name(token), kept)
        return token, address

    def finish(self, token: str, state: str, code: str, issuer: str | None, address: str) -> tuple[str, Session]:
        """Opens a session for somebody who came back; each sign-in that was begun ends once.

        Args:
            token: the secret that the browser kept.
            state: as they came back.
            code: the same.
            issuer: the same.
            address: the caller's.

        Raises:
            SignInRefusedError: something does not fit, or none of their groups has a role.
            UnavailableError: the provider is out of reach.
        """
        kept = self._sessions.get(_name(token))
        self._sessions.delete(_name(token))
        if kept is None or kept["ends_at"] < self._clock():
            raise SignInRefusedError("no sign-in is under way in this browser; begin again")
        claims = self._provider.claims(Pending(*kept["pending"]), state, code, issuer)
        name = claims.get(self._name_claim)
        if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
            raise SignInRefusedError(f"the ID token has no name of at most 64 letters in {self._name_claim}")
        given = claims.get(self._groups_claim)
        groups = given if isinstance(given, list) else [given]
        held = [self._roles[group] for group in groups if isinstance(group, str) and group in self._roles]
        if not held:
            raise SignInRefusedError(f"no group of {name} has a role here")
        return self._access.enter(name, max(held), address)


def _name(token: str) -> str:
    return f"begun-{hashlib.sha256(token.encode()).hexdigest()}"
