"""By which name, through which proxies and over what the application is reached, on a server that really listens."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.message import Message
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request

from adapters.program.configuration import load_settings
from console import access
from console.access import Access
from console.api import build_app
from console.door import Door, host_of
from console.hashing import HASHES, WAITING
from console.lockout import FAILURES
from console.users import Account, Role, hash_password
from fraud.errors import MisconfiguredError
from fraud.settings import Console
from tests.support.servers import serving_app

PASSWORD = hash_password("right")


def application(settings: Console, host: str = "127.0.0.1") -> FastAPI:
    app = build_app(
        Access(lambda: {"ann": Account(Role.ANALYST, PASSWORD)}, lambda: 1000.0), [], {}, door=Door.of(settings, host)
    )

    @app.get("/caller")
    def caller(request: Request) -> str:
        assert request.client is not None
        return f"{request.client.host} {request.url.scheme}"

    return app


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Caller:
    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    def ask(self, path: str, *headers: tuple[str, str], host: str | None = None, body: str = "") -> Answer:
        """Asks with exactly these headers, also several of one name."""
        assert self._address.hostname is not None
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest("POST" if body else "GET", path, skip_host=True)
            for name, value in (("Host", host or self._address.netloc), *headers):
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body.encode())
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def seen(self, *headers: tuple[str, str]) -> str:
        return self.ask("/caller", *headers).body.decode().strip('"')


@pytest.fixture(scope="module")
def alone() -> Iterator[Caller]:
    with serving_app(application(Console(allowed_hosts=["Fraud.example.com"]))) as url:
        yield Caller(url)


@pytest.fixture(scope="module")
def behind_proxy() -> Iterator[Caller]:
    with serving_app(application(Console(trusted_proxies=["127.0.0.1", "10.0.0.0/16"]))) as url:
        yield Caller(url)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "LOCALHOST:9", "[::1]:8090", "fraud.example.com:443"])
def test_own_names_are_answered(alone: Caller, host: str) -> None:
    assert alone.ask("/", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example", "attacker.example:8090", "fraud.example.com.attacker.example", "xfraud.example.com",
        "localhost.attacker.example", "192.0.2.1", "user@localhost", "localhost/x", "localhost:x", "localhost:99999",
        "127.0.0.1.attacker.example", "a b", "?",
    ],
)  # fmt: skip
def test_other_names_are_refused_before_anything_is_said(alone: Caller, host: str) -> None:
    for path in ("/", "/api/session", "/static/shell.js"):
        answer = alone.ask(path, host=host)
        assert answer.status == 400
        assert b"console.allowed_hosts" in answer.body


def test_a_request_with_two_names_or_none_is_refused(alone: Caller) -> None:
    assert alone.ask("/", ("Host", "attacker.example")).status == 400
    assert host_of("") is None


def test_what_listens_everywhere_answers_to_the_names_it_was_given_only() -> None:
    assert Door.of(Console(), "0.0.0.0").hosts == {"127.0.0.1", "localhost", "::1"}
    assert "192.0.2.1" in Door.of(Console(), "192.0.2.1").hosts
    assert Door.of(Console(allowed_hosts=["A.example"]), "::").hosts > {"a.example"}


def test_nobody_is_believed_unless_trusted(alone: Caller) -> None:
    forged = ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=203.0.113.9")
    assert alone.seen(*forged) == "127.0.0.1 http"


def test_the_rightmost_address_that_is_no_proxy_is_the_caller(behind_proxy: Caller) -> None:
    assert behind_proxy.seen(("X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.3.4")) == "198.51.100.7 http"
    assert (
        behind_proxy.seen(("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.7:443"))
        == "198.51.100.7 http"
    )
    assert behind_proxy.seen(("X-Forwarded-Proto", "https")) == "127.0.0.1 https"


def test_a_header_does_not_change_whose_failures_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "matches", lambda *_: False)  # hashing takes long
    with serving_app(application(Console())) as url:
        caller = Caller(url)

        def tries(n: int) -> int:
            body = f'{{"name": "name-{n}", "password": "wrong"}}'
            return caller.ask("/api/session", ("X-Forwarded-For", f"203.0.113.{n}"), body=body).status

        assert [tries(n) for n in range(FAILURES + 1)] == [401] * FAILURES + [429]
        answer = caller.ask("/api/session", body='{"name": "ann", "password": "right"}')
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1800")


def test_a_team_behind_one_address_signs_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(HASHES)

    def hashes(*_: str) -> bool:
        together.wait(60)
        return True

    monkeypatch.setattr(access, "matches", hashes)
    with serving_app(application(Console())) as url, ThreadPoolExecutor(5 * HASHES) as team:
        body = '{"name": "ann", "password": "right"}'
        answers = team.map(lambda _: Caller(url).ask("/api/session", body=body).status, range(5 * HASHES))
        assert list(answers) == [200] * 5 * HASHES


def test_what_waits_to_sign_in_is_bounded_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(access, "matches", lambda *_: go.wait(60))
    crowd = HASHES + WAITING + 5
    with serving_app(application(Console())) as url, ThreadPoolExecutor(crowd) as strangers:
        body = '{"name": "ann", "password": "right"}'
        asked = [strangers.submit(Caller(url).ask, "/api/session", body=body) for _ in range(crowd)]
        refused = [one.result() for one in itertools.islice(as_completed(asked, 60), 5)]
        assert Caller(url).ask("/api/session/means").status == 200
        go.set()
        answers = [one.result().status for one in asked]
    assert {(one.status, one.headers["Retry-After"]) for one in refused} == {(429, "1")}
    assert sorted(answers) == [200] * (HASHES + WAITING) + [429] * 5


def test_browsers_learn_to_come_over_tls_where_it_is_on(behind_proxy: Caller) -> None:
    assert behind_proxy.ask("/").headers["Strict-Transport-Security"] is None
    over_tls = behind_proxy.ask("/", ("X-Forwarded-Proto", "https"))
    assert over_tls.headers["Strict-Transport-Security"] == "max-age=31536000"
    body = '{"name": "ann", "password": "right"}'
    cookies = [
        behind_proxy.ask("/api/session", ("X-Forwarded-Proto", scheme), body=body).headers["Set-Cookie"]
        for scheme in ("http", "https")
    ]
    assert ["Secure" in cookie for cookie in cookies] == [False, True]
    with serving_app(application(Console(allowed_hosts=["127.0.0.1"]), "0.0.0.0")) as url:
        assert Caller(url).ask("/").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "[proxy.example.com]"),
        ("trusted_proxies", "[10.0.0.1/16]"),
        ("trusted_proxies", "['*']"),
        ("trusted_proxies", "[0.0.0.0/0]"),
        ("trusted_proxies", "['::/0']"),
        ("allowed_hosts", "['*']"),
        ("allowed_hosts", "['https://fraud.example.com']"),
        ("allowed_hosts", "['fraud.example.com:443']"),
        ("allowed_hosts", "['']"),
        ("idle_minutes", "0"),
    ],
)
def test_a_setting_that_means_nothing_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"console.{name}"):
        load_settings(None, {f"FRAUD_CONSOLE__{name.upper()}": value})
