"""A provider of OpenID Connect: signing in by authorisation code with PKCE (OpenID Connect Core 1.0, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fraud.errors import FraudError, MisconfiguredError, UnavailableError

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Signatures that are believed: with a key of the provider's, never with a shared secret or none."""

SCOPES = "openid profile"
_TIMEOUT_S = 10.0
_LARGEST = 1 << 20
_LEEWAY_S = 60
"""How far the provider's clock may be off."""

_FRESH_KEYS_S = 60.0
"""Shortest time between two reads of the provider's keys, so that no stream of odd tokens makes more."""


class SignInRefusedError(FraudError):
    """The provider did not vouch for whoever came back from it."""


class Pending(NamedTuple):
    """What is remembered of a sign-in while somebody is at the provider.

    Attributes:
        state: comes back with the code.
        nonce: comes back in the ID token.
        verifier: shows the provider that whoever has the code also began.
    """

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Pending:
        """One that nobody can guess."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        """The verifier's hash, as S256 has it.

        >>> Pending("", "", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").challenge
        'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
        """
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Client:
    """This console, as the provider knows it.

    Attributes:
        issuer: the provider, exactly as its tokens name it.
        client_id: of the console.
        secret: of the console; None for a client without one.
        redirect_url: where the provider sends people back.
    """

    issuer: str
    client_id: str
    secret: str | None
    redirect_url: str


class OpenIdProvider:
    """Sends people to the provider and checks with what they come back.

    Args:
        client: the console and its provider.
        clock: seconds since the epoch.
    """

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._described: dict[str, Any] | None = None
        self._keys: KeySet | None = None
        self._keys_at_s = 0.0

    def address(self, pending: Pending) -> str:
        """Where somebody signs in.

        Raises:
            UnavailableError: the provider is out of reach.
            MisconfiguredError: it is not the one that the settings name, or lacks what is needed.
        """
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_url,
            "scope": SCOPES,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        place = self._description()["authorization_endpoint"]
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}"

    def claims(self, pending: Pending, state: str, code: str, issuer: str | None = None) -> Mapping[str, Any]:
        """What the provider says of whoever came back with a code.

        Args:
            pending: as they left.
            state: as they came back.
            code: the same.
            issuer: the same, where the provider names itself (RFC 9207).

        Raises:
            SignInRefusedError: something does not fit.
            UnavailableError: the provider is out of reach.
        """
        if not secrets.compare_digest(state.encode(), pending.state.encode()):
            raise SignInRefusedError("the sign-in was begun elsewhere; begin again")
        if issuer is not None and issuer != self._client.issuer:
            raise SignInRefusedError("another provider answered; begin again")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_url,
            "code_verifier": pending.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._client.secret is None:
            form["client_id"] = self._client.client_id
        else:
            both = f"{quote(self._client.client_id, safe='')}:{quote(self._client.secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        request = urllib.request.Request(
            self._description()["token_endpoint"], urlencode(form).encode(), headers, method="POST"
        )
        try:
            answer = _read(request)
        except urllib.error.HTTPError as error:
            raise SignInRefusedError(f"the provider refused the code ({error.code}); begin again") from None
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefusedError("the provider gave no ID token")
        return self._checked(token, pending.nonce)

    def _checked(self, token: str, nonce: str) -> Mapping[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": self._client.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._decoded(token)
            registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise SignInRefusedError(f"the ID token does not hold: {error}") from None
        # Section 3.1.3.7: one that is for several must have been made for this one.
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._client.client_id:
            raise SignInRefusedError("the ID token was made for another client")
        return claims

    def _decoded(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError):
            # The provider may have new keys since.
            if self._clock() - self._keys_at_s < _FRESH_KEYS_S:
                raise
            return jwt.decode(token, self._key_set(again=True), algorithms=ALGORITHMS).claims

    def _description(self) -> dict[str, Any]:
        with self._lock:
            if self._described is None:
                found = self._get(f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != self._client.issuer:
                    raise MisconfiguredError("console.oidc.issuer", f"the provider calls itself {found.get('issuer')}")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not isinstance(found.get(name), str):
                        raise MisconfiguredError("console.oidc.issuer", f"the provider names no {name}")
                self._described = found
            return self._described

    def _key_set(self, *, again: bool = False) -> KeySet:
        place = self._description()["jwks_uri"]
        with self._lock:
            if self._keys is None or again:
                self._keys = KeySet.import_key_set(self._get(place))  # type: ignore[arg-type]
                self._keys_at_s = self._clock()
            return self._keys

    def _get(self, url: str) -> dict[str, Any]:
        try:
            return _read(urllib.request.Request(url))
        except urllib.error.HTTPError as error:
            raise UnavailableError("OpenID Connect", url, str(error.code), "the provider does not answer") from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the places are those that the provider described."""

    def redirect_request(self, *_: Any) -> None:
        """None is followed."""
        return


_OPENER = urllib.request.build_opener(_Stay)


def _read(request: urllib.request.Request) -> dict[str, Any]:
    request.add_header("Accept", "application/json")
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            found = json.loads(answer.read(_LARGEST))
    except urllib.error.HTTPError:
        raise
    except (OSError, ValueError) as error:
        raise UnavailableError("OpenID Connect", request.full_url, "unreachable", str(error)) from None
    if not isinstance(found, dict):
        raise UnavailableError("OpenID Connect", request.full_url, "malformed", "the answer is no JSON object")
    return found
