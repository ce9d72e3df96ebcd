"""How the application is reached: by which names, through which proxies, and whether over TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from adapters.program.ports import LOOPBACK
from fraud.settings import Console

_WILDCARDS = frozenset({"0.0.0.0", "::", ""})


@dataclass(frozen=True)
class Door:
    """How the application is reached.

    Attributes:
        hosts: names and addresses that callers may ask for, in lower case, without port. A page of another site can
            make a name of its own lead to this machine (DNS rebinding), and only the name that it asks for shows it.
        trusted_proxies: addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        secure: whether it is reached over HTTPS only, so that cookies never travel without it.
    """

    hosts: frozenset[str]
    trusted_proxies: Sequence[str] = ()
    secure: bool = False

    @classmethod
    def of(cls, settings: Console, host: str) -> Door:
        """The door of a console that listens at an address."""
        named = {host} - _WILDCARDS
        hosts = frozenset(each.lower() for each in (*LOOPBACK, *named, *settings.allowed_hosts))
        return cls(hosts, settings.trusted_proxies, secure=host not in LOOPBACK)

    def guard(self, app: Starlette) -> None:
        """Puts what is checked before any route in front of an application."""
        app.add_middleware(_HostCheck, hosts=self.hosts)
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(self.trusted_proxies))


def host_of(header: str) -> str | None:
    """The name or address of a `Host` header in lower case, without port; None where it is none.

    >>> host_of("Fraud.example.com:8090"), host_of("[::1]:8090"), host_of("a@b"), host_of("a/b"), host_of("a:b")
    ('fraud.example.com', '::1', None, None, None)
    """
    try:
        parts = urlsplit(f"//{header}")
        parts.port  # noqa: B018  refuses what is no number of a port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == header and "@" not in header else None


class _HostCheck:
    """Refuses requests for a name that is not ours."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).getlist("host")
        if len(given) == 1 and host_of(given[0]) in self._hosts:
            return await self._app(scope, receive, send)
        said = "this is not a name of the console; the setting console.allowed_hosts lists those that callers may use"
        return await JSONResponse({"detail": said}, 400)(scope, receive, send)
