"""Signing in and out, and what the shell needs to know of who signed in."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from adapters.oidc.provider import SignInRefusedError
from console.access import SESSION_S, CodeNeededError, ForbiddenError, Session
from console.errors import NotFoundError
from console.guard import COOKIE, access_of, changing_session_of, session_of
from console.hashing import in_line
from console.pages import Page
from console.services.shortcuts import ShortcutDesk
from console.single_sign_on import AWAY_S, SingleSignOn
from fraud.money import MINOR_DIGITS

router = APIRouter()

_BACK = "/api/session/provider"
_BEGUN = "fraud_console_begun"
"""Cookie of a sign-in that is under way at the provider."""


class SignIn(BaseModel):
    """Name and password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)
    code: str = Field(default="", max_length=16)


class NewPassword(BaseModel):
    """The password of now, and the next one."""

    old: str = Field(max_length=256)
    new: str = Field(min_length=12, max_length=256)


class Shortcuts(BaseModel):
    """A change of shortcuts: whether they work, and keys by action, where null is the usual key and empty none."""

    on: bool | None = None
    keys: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=20)] | None] = Field(
        default_factory=dict, max_length=40
    )


@router.post("/session")
async def sign_in(given: SignIn, request: Request, response: Response) -> dict[str, Any]:
    """Opens a session and sets its cookie."""
    try:
        address = _address(request)
        opened = await in_line(lambda: access_of(request).sign_in(given.name, given.password, address, given.code))
    except CodeNeededError as error:
        raise HTTPException(401, str(error)) from None
    if opened is None:
        raise HTTPException(401, "name, password or code is wrong")
    token, session = opened
    _give(request, response, token)
    return await run_in_threadpool(_described, request, session)


@router.get("/session/means")
def means(request: Request) -> dict[str, bool]:
    """How one can sign in, beside name and password."""
    return {"provider": request.app.state.single_sign_on is not None}


@router.get("/session/provider", response_class=RedirectResponse, status_code=303)
def to_provider(request: Request) -> RedirectResponse:
    """Sends the browser to the provider of identities."""
    token, place = _single_sign_on(request).begin()
    answer = RedirectResponse(place, 303)
    # Lax, as it comes back from another site.
    answer.set_cookie(
        _BEGUN, token, max_age=int(AWAY_S), path=_BACK, httponly=True, samesite="lax", secure=_secure(request)
    )
    return answer


@router.get("/session/provider/return", response_class=RedirectResponse, status_code=303)
def from_provider(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
    iss: Annotated[str | None, Query(max_length=500)] = None,
) -> RedirectResponse:
    """Opens a session for somebody who comes back from the provider."""
    came = _single_sign_on(request)
    try:
        opened = came.finish(request.cookies.get(_BEGUN, ""), state, code, iss, _address(request))
    except (SignInRefusedError, ForbiddenError) as error:
        structlog.get_logger().warning("sign_in_refused", reason=str(error))
        answer = RedirectResponse("/?refused=1", 303)
    else:
        answer = RedirectResponse("/", 303)
        _give(request, answer, opened[0])
    answer.delete_cookie(_BEGUN, path=_BACK)
    return answer


@router.get("/session")
def who(request: Request, session: Annotated[Session, Depends(session_of)]) -> dict[str, Any]:
    """Who is signed in, the CSRF token, and the pages that the role may use."""
    return _described(request, session)


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, _: Annotated[Session, Depends(changing_session_of)]) -> None:
    """Ends the session."""
    access_of(request).sign_out(request.cookies.get(COOKIE))
    response.delete_cookie(COOKIE)


@router.post("/session/password", status_code=204)
async def change_password(
    given: NewPassword, request: Request, session: Annotated[Session, Depends(changing_session_of)]
) -> None:
    """Gives the user a new password of at least 12 characters; all their sessions end."""
    address = _address(request)
    await in_line(lambda: access_of(request).change_password(session, given.old, given.new, address))


@router.post("/session/shortcuts")
def change_shortcuts(
    given: Shortcuts, request: Request, session: Annotated[Session, Depends(changing_session_of)]
) -> dict[str, Any]:
    """Changes the user's keyboard shortcuts, in all their browsers; gives them as they are then."""
    return _shortcuts(request).change(session.user.name, given.on, given.keys)


def _shortcuts(request: Request) -> ShortcutDesk:
    desk: ShortcutDesk = request.app.state.shortcuts
    return desk


def _give(request: Request, answer: Response, token: str) -> None:
    """Has the browser keep a session."""
    secure = _secure(request)
    answer.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)


def _secure(request: Request) -> bool:
    return request.app.state.secure or request.url.scheme == "https"


def _single_sign_on(request: Request) -> SingleSignOn:
    found: SingleSignOn | None = request.app.state.single_sign_on
    if found is None:
        raise NotFoundError("no provider of identities is configured: oidc.issuer")
    return found


def _address(request: Request) -> str:
    """The caller's, where a trusted proxy named it."""
    return request.client.host if request.client else ""


def _described(request: Request, session: Session) -> dict[str, Any]:
    pages: list[Page] = request.app.state.pages
    return {
        "name": session.user.name,
        "role": session.user.role.name.lower(),
        "csrf": session.csrf,
        "base_currency": request.app.state.base_currency,
        "minor_digits": MINOR_DIGITS,
        "pages": [
            {"name": page.name, "title": page.title, "listed": page.listed}
            for page in pages
            if session.user.role >= page.role
        ],
        "shortcuts": _shortcuts(request).of(session.user.name),
    }
