"""What stands before every route: signed in, allowed, and not forged."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from console.access import Access, Role, Session, User
from console.audit import Reads

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
    used = UNATTENDED not in request.headers
    session = access_of(request).session(request.cookies.get(COOKIE), used=used)
    if session is None:
        raise HTTPException(401, "sign in first")
    return session


def changing_session_of(request: Request, session: Annotated[Session, Depends(session_of)]) -> Session:
    """The caller's session; refuses with 403 what does not carry its CSRF token."""
    if not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), session.csrf.encode()):
        raise HTTPException(403, "the CSRF token is missing or wrong; load the page again")
    return session


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
