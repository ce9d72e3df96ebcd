"""Whoever writes `X-Forwarded-For`: what a caller puts into it never decides as whom its failures count."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from console.door import Door
from console.lockout import network_of
from fraud.settings import Console
from tests.support.consoles import DOOR

PROXIES = ["10.0.0.0/16", "2001:db8:ffff::/48", "192.0.2.200"]
_TRUSTED = [ipaddress.ip_network(proxy) for proxy in PROXIES]

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
callers = addresses.filter(lambda text: not any(ipaddress.ip_address(text) in network for network in _TRUSTED))
proxies = st.one_of(
    st.ip_addresses(network="10.0.0.0/16"), st.ip_addresses(network="2001:db8:ffff::/48"), st.just("192.0.2.200")
).map(str)
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
forged = st.lists(st.one_of(header_text, addresses, proxies, callers), max_size=4)


def seen(app: Starlette, peer: str, headers: list[str]) -> str:
    """The address that an application sees."""
    found: list[str] = []
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "scheme": "http", "http_version": "1.1", "client": (peer, 1), "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"testserver"), *((b"x-forwarded-for", text.encode("latin1")) for text in headers)],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        found.extend([message["body"].decode()] if message["type"] == "http.response.body" else [])

    asyncio.run(app(scope, receive, send))
    return "".join(found)


def caller_of(request: Request) -> PlainTextResponse:
    assert request.client is not None
    return PlainTextResponse(request.client.host)


def behind(*proxies: str) -> Starlette:
    app = Starlette(routes=[Route("/", caller_of)])
    Door(DOOR.hosts, Console(trusted_proxies=list(proxies)).trusted_proxies).guard(app)
    return app


TRUSTING, ALONE = behind(*PROXIES), behind()


@given(caller=callers, forged=forged, chain=st.lists(proxies, max_size=3), peer=proxies, lines=st.booleans())
def test_behind_proxies_the_caller_is_who_called_the_first_of_them(
    caller: str, forged: list[str], chain: list[str], peer: str, lines: bool
) -> None:
    # Each proxy appends who called it, so what the caller wrote itself stays to the left of its address.
    written = [*forged, caller, *chain]
    headers = written if lines else [", ".join(written)]
    assert network_of(seen(TRUSTING, peer, headers)) == network_of(caller)


@given(peer=callers, forged=forged)
def test_the_header_of_whom_nobody_trusts_is_not_read(peer: str, forged: list[str]) -> None:
    assert seen(ALONE, peer, forged) == seen(TRUSTING, peer, forged) == peer
