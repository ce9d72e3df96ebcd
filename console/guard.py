"""What stands before every route: signed in, allowed, and not forged."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from console.access import Access, Session, User
from console.audit import Reads
from console.users import Role

COOKIE = "fraud_console"
UNATTENDED = "x-unattended"
"""Header of what a page asks by itself while nobody touches it: it does not keep the session."""

VIEW = "x-view"
"""Header that names a page as long as it is open: what it shows again is not another read of a card's token."""

_LONGEST_VIEW = 64


def access_of(request: Request) -> Access:
    """Who may enter this application."""
    access: Access = request.app.state.access
    return access


def session_of(request: Request) -> Session:
    """The caller's session; refuses with 401 who has none."""
    access = access_of(request)
    if (key := _api_key(request)) is not None:
        session = access.machine(key)
        if session is None:
            raise HTTPException(401, "no user has this API key")
        return session
    session = access.session(request.cookies.get(COOKIE), used=UNATTENDED not in request.headers)
    if session is None:
        raise HTTPException(401, "sign in first")
    return session


def changing_session_of(request: Request, session: Annotated[Session, Depends(session_of)]) -> Session:
    """The caller's session; refuses with 403 what does not carry its CSRF token.

    No page of another site can add an API key, so a call with one needs no token.
    """
    given = request.headers.get("x-csrf-token", "")
    if _api_key(request) is None and not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise HTTPException(403, "the CSRF token is missing or wrong; load the page again")
    return session


def _api_key(request: Request) -> str | None:
    """What a machine gives in place of a cookie: `Authorization: Bearer KEY`."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else None


def at_least(role: Role) -> Callable[[Session], None]:
    """A dependency that refuses lower roles with 403, for routes or whole routers."""

    def require(session: Annotated[Session, Depends(session_of)]) -> None:
        session.user.require(role)

    return require


async def _reader(request: Request, session: Annotated[Session, Depends(session_of)]) -> AsyncIterator[User]:
    shown: list[str] = []
    yield replace(session.user, saw=shown.append)
    await _note(request, session, shown)


async def _changer(request: Request, session: Annotated[Session, Depends(changing_session_of)]) -> AsyncIterator[User]:
    shown: list[str] = []
    yield replace(session.user, saw=shown.append)
    await _note(request, session, shown)


async def _note(request: Request, session: Session, shown: Sequence[str]) -> None:
    if not shown:
        return
    reads: Reads = request.app.state.reads
    given = request.headers.get(VIEW, "")
    view = given if 0 < len(given) <= _LONGEST_VIEW else None
    await run_in_threadpool(reads.note, session.user.name, session.csrf, view, shown)


# With the scope of the function a read is noted before the answer leaves.
Reader = Annotated[User, Depends(_reader, scope="function")]
"""A parameter of every route that reads: who asks."""
Changer = Annotated[User, Depends(_changer, scope="function")]
"""A parameter of every route that changes something: who asks, with the CSRF token checked."""
