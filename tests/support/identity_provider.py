"""A provider of OpenID Connect on loopback that holds its clients to the specification."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.servers import serving

SECRET = "a secret/with+signs"


class IdentityProvider:
    """Knows one client and who signs in next.

    Attributes:
        url: its address, which is its issuer.
        claims: of whoever signs in next, beside those that the protocol asks for.
        forge: makes another token of the claims; None signs them as it should be.
        refusals: what clients did that the specification forbids.
    """

    def __init__(self, redirect_url: str, now: Callable[[], float]) -> None:
        self.url = ""
        self.redirect_url = redirect_url
        self.claims: dict[str, Any] = {"preferred_username": "pat", "groups": ["leads"]}
        self.forge: Callable[[dict[str, Any]], str] | None = None
        self.refusals: list[str] = []
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self._now = now
        self._codes: dict[str, dict[str, str]] = {}

    def sign_in(self, address: str) -> dict[str, str]:
        """What the browser does at the provider: gives the parameters that it comes back with."""
        parts = urlsplit(address)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        wanted = {
            "response_type": "code",
            "client_id": "fraud-console",
            "redirect_uri": self.redirect_url,
            "code_challenge_method": "S256",
        }
        self._require(parts.path == "/authorize", "another place than the endpoint")
        for name, value in wanted.items():
            self._require(asked.get(name) == value, f"{name} is {asked.get(name)}")
        self._require("openid" in asked.get("scope", "").split(), "no scope openid")
        for name in ("state", "nonce", "code_challenge"):
            self._require(len(asked.get(name, "")) >= 43, f"{name} can be guessed")
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    def token(self, authorization: str | None, form: dict[str, str]) -> dict[str, Any] | None:
        """The token endpoint's answer; None refuses."""
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None:
            return None
        name, _, secret = base64.b64decode((authorization or " ").partition(" ")[2]).decode().partition(":")
        digest = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        self._require((unquote(name), unquote(secret)) == ("fraud-console", SECRET), "the client is not authenticated")
        self._require(form.get("grant_type") == "authorization_code", "grant_type")
        self._require(form.get("redirect_uri") == asked["redirect_uri"], "another redirect_uri than before")
        self._require(digest.rstrip(b"=").decode() == asked["code_challenge"], "the verifier is not the challenge's")
        self._require(43 <= len(form.get("code_verifier", "")) <= 128, "length of the verifier")
        now = int(self._now())
        claims = {
            "iss": self.url,
            "sub": "id-of-pat",
            "aud": "fraud-console",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        } | self.claims
        token = self.signed(claims) if self.forge is None else self.forge(claims)
        return {"access_token": "unused", "token_type": "Bearer", "id_token": token}

    def signed(self, claims: dict[str, Any]) -> str:
        """The claims as a token."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def described(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.refusals.append(otherwise)


@contextmanager
def identity_provider(redirect_url: str, now: Callable[[], float]) -> Iterator[IdentityProvider]:
    """Serves one for as long as the context lasts."""
    provider = IdentityProvider(redirect_url, now)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                self._answer(200, provider.described())
            elif self.path == "/keys":
                self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            found = provider.token(self.headers.get("authorization"), form) if self.path == "/token" else None
            self._answer(400 if found is None else 200, found or {"error": "invalid_grant"})

        def _answer(self, code: int, found: dict[str, Any]) -> None:
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as url:
        provider.url = url
        yield provider


def back(redirect_url: str, parameters: dict[str, str]) -> str:
    """The address that the provider sends the browser back to."""
    return f"{redirect_url}?{urlencode(parameters)}"
