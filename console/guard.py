"""What stands before every route: signed in, allowed, and not forged."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from console.access import Access, Role, Session, User

COOKIE = "fraud_console"


def access_of(request: Request) -> Access:
    """Who may enter this application."""
    access: Access = request.app.state.access
    return access


def session_of(request: Request) -> Session:
    """The caller's session; refuses with 401 who has none."""
    session = access_of(request).session(request.cookies.get(COOKIE))
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


def _reader(session: Annotated[Session, Depends(session_of)]) -> User:
    return session.user


def _changer(session: Annotated[Session, Depends(changing_session_of)]) -> User:
    return session.user


Reader = Annotated[User, Depends(_reader)]
"""A parameter of every route that reads: who asks."""
Changer = Annotated[User, Depends(_changer)]
"""A parameter of every route that changes something: who asks, with the CSRF token checked."""
