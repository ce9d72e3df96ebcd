"""Signing in and out, and what the shell needs to know of who signed in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, Field

from console.access import SESSION_S, CodeNeededError, Session
from console.guard import COOKIE, access_of, changing_session_of, session_of
from console.pages import Page
from fraud.money import MINOR_DIGITS

router = APIRouter()


class SignIn(BaseModel):
    """Name and password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)
    code: str = Field(default="", max_length=16)


class NewPassword(BaseModel):
    """The password of now, and the next one."""

    old: str = Field(max_length=256)
    new: str = Field(min_length=12, max_length=256)


@router.post("/session")
def sign_in(given: SignIn, request: Request, response: Response) -> dict[str, Any]:
    """Opens a session and sets its cookie."""
    try:
        opened = access_of(request).sign_in(given.name, given.password, _address(request), given.code)
    except CodeNeededError as error:
        raise HTTPException(401, str(error)) from None
    if opened is None:
        raise HTTPException(401, "name, password or code is wrong")
    token, session = opened
    secure = request.app.state.secure or request.url.scheme == "https"
    response.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
    return _described(request, session)


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
def change_password(
    given: NewPassword, request: Request, session: Annotated[Session, Depends(changing_session_of)]
) -> None:
    """Gives the user a new password of at least 12 characters; all their sessions end."""
    access_of(request).change_password(session, given.old, given.new, _address(request))


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
    }
