"""Signing in with a provider of OpenID Connect that holds the console to the specification."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from adapters.files.sessions import StoredSessions
from adapters.objects.folder import FolderObjects
from console.access import Access
from console.api import build_app
from console.compose import single_sign_on_of
from console.users import Account, Role
from fraud.settings import Oidc
from tests.support.consoles import DOOR
from tests.support.identity_provider import SECRET, IdentityProvider, back, identity_provider

RETURN = "http://testserver/api/session/provider/return"


class World:
    """Consoles that share a store, and a provider."""

    def __init__(self, provider: IdentityProvider, folder: Path, now: Callable[[], float]) -> None:
        self.provider = provider
        self.folder = folder
        self.now = now
        (folder / "secret").write_text(SECRET)
        self.audit: list[tuple[str, str, str]] = []
        self.users: dict[str, Account] = {}

    def browser(self) -> TestClient:
        """A browser before a console of its own."""
        settings = Oidc(
            issuer=self.provider.url,
            client_secret=f"file:{self.folder / 'secret'}",
            redirect_url=RETURN,
            roles={"analysts": "analyst", "leads": "lead"},
        )
        sessions = StoredSessions(FolderObjects(self.folder / "store"))
        access = Access(lambda: self.users, self.now, audit=lambda *line: self.audit.append(line), sessions=sessions)
        single = single_sign_on_of(settings, access, sessions, self.now)
        return TestClient(build_app(access, [], {}, door=DOOR, single_sign_on=single), follow_redirects=False)

    def begun(self, browser: TestClient) -> dict[str, str]:
        answer = browser.get("/api/session/provider")
        assert answer.status_code == 303
        return self.provider.sign_in(answer.headers["location"])

    def enter(self, browser: TestClient) -> str:
        """Where a whole sign-in ends."""
        return str(browser.get(back(RETURN, self.begun(browser))).headers["location"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    def now() -> float:
        return 1_800_000_000.0

    with identity_provider(RETURN, now) as provider:
        yield World(provider, tmp_path, now)
        assert provider.refusals == []


def test_somebody_enters_with_the_highest_role_of_their_groups(world: World) -> None:
    world.provider.claims["groups"] = ["visitors", "leads", "analysts"]
    browser = world.browser()
    assert browser.get("/api/session/means").json() == {"provider": True}
    assert world.enter(browser) == "/"
    found = browser.get("/api/session").json()
    assert (found["name"], found["role"]) == ("pat", "lead")
    assert world.audit == [("pat", "sign_in", "testclient, by the provider, as lead")]
    assert browser.delete("/api/session", headers={"x-csrf-token": found["csrf"]}).status_code == 204
    assert browser.get("/api/session").status_code == 401


def test_a_sign_in_that_one_console_began_another_ends(world: World) -> None:
    one, other = world.browser(), world.browser()
    came = world.begun(one)
    other.cookies = one.cookies
    assert other.get(back(RETURN, came)).headers["location"] == "/"
    one.cookies = other.cookies
    assert one.get("/api/session").json()["name"] == "pat"


def _none(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def _by_public_key(world: World) -> Callable[[dict[str, Any]], str]:
    secret = OctKey.import_key(json.dumps(world.provider.key.as_dict(private=False)).encode())
    return lambda claims: jwt.encode({"alg": "HS256"}, claims, secret)


FORGERIES: dict[str, Callable[[World], Callable[[dict[str, Any]], str]]] = {
    "unsigned": lambda _: _none,
    "signed with the public key": _by_public_key,
    "another key of the same name": lambda _: (
        lambda claims: jwt.encode({"alg": "RS256", "kid": "first"}, claims, RSAKey.generate_key(2048, {"kid": "first"}))
    ),
    "another issuer": lambda w: lambda claims: w.provider.signed(claims | {"iss": "https://other.example.com"}),
    "another audience": lambda w: lambda claims: w.provider.signed(claims | {"aud": "another"}),
    "made for another of several": lambda w: (
        lambda claims: w.provider.signed(claims | {"aud": ["fraud-console", "another"], "azp": "another"})
    ),
    "for several without a party": lambda w: (
        lambda claims: w.provider.signed(claims | {"aud": ["fraud-console", "another"]})
    ),
    "another nonce": lambda w: lambda claims: w.provider.signed(claims | {"nonce": "x" * 43}),
    "no nonce": lambda w: lambda claims: w.provider.signed({k: v for k, v in claims.items() if k != "nonce"}),
    "expired": lambda w: lambda claims: w.provider.signed(claims | {"exp": claims["iat"] - 61}),
    "not yet issued": lambda w: lambda claims: w.provider.signed(claims | {"iat": claims["iat"] + 3_600}),
    "no subject": lambda w: lambda claims: w.provider.signed({k: v for k, v in claims.items() if k != "sub"}),
    "no token": lambda _: lambda _claims: "a.b.c",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_token_that_does_not_hold_opens_nothing(world: World, forgery: str) -> None:
    world.provider.forge = FORGERIES[forgery](world)
    browser = world.browser()
    assert world.enter(browser) == "/?refused=1"
    assert browser.get("/api/session").status_code == 401
    assert world.audit == []
    world.provider.forge = None
    assert world.enter(browser) == "/"


def test_who_has_no_group_with_a_role_or_a_name_of_a_user_stays_out(world: World) -> None:
    browser = world.browser()
    odd: list[dict[str, Any]] = [
        {"groups": ["visitors"]},
        {"groups": []},
        {"groups": [["leads"]]},
        {"preferred_username": "x" * 65},
    ]
    for claims in odd:
        before = dict(world.provider.claims)
        world.provider.claims |= claims
        assert world.enter(browser) == "/?refused=1"
        world.provider.claims = before
    world.users["pat"] = Account(Role.VIEWER, "scrypt$00$00")
    assert world.enter(browser) == "/?refused=1"
    assert browser.get("/api/session").status_code == 401


def test_a_state_a_code_and_a_sign_in_count_once_and_in_their_browser_alone(world: World) -> None:
    browser, stranger = world.browser(), world.browser()
    came = world.begun(browser)
    assert stranger.get(back(RETURN, came)).headers["location"] == "/?refused=1"
    assert browser.get(back(RETURN, came | {"state": "another"})).headers["location"] == "/?refused=1"
    assert browser.get(back(RETURN, came)).headers["location"] == "/?refused=1"
    came = world.begun(browser)
    assert browser.get(back(RETURN, came | {"iss": "https://other.example.com"})).headers["location"] == "/?refused=1"
    came = world.begun(browser)
    cookies = dict(browser.cookies)
    assert browser.get(back(RETURN, came)).headers["location"] == "/"
    stranger.cookies.update(cookies)
    assert stranger.get(back(RETURN, came)).headers["location"] == "/?refused=1"


def test_new_keys_of_the_provider_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.oidc.provider._FRESH_KEYS_S", 0.0)
    browser = world.browser()
    assert world.enter(browser) == "/"
    world.provider.key = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
    assert world.enter(browser) == "/"


def test_a_provider_out_of_reach_is_an_outage_and_without_one_there_is_no_way(world: World) -> None:
    url, world.provider.url = world.provider.url, "http://127.0.0.1:9"
    assert world.browser().get("/api/session/provider").status_code == 503
    world.provider.url = url
    plain = TestClient(build_app(Access(dict, world.now), [], {}, door=DOOR), follow_redirects=False)
    assert plain.get("/api/session/means").json() == {"provider": False}
    assert plain.get("/api/session/provider").status_code == 404
    with pytest.raises(ValueError, match="https"):
        Oidc(issuer="http://login.example.com")
