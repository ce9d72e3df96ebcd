"""The web application: a JSON API below `/api`, and the queue page that uses it."""

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field

from console.access import SESSION_S, Access, ForbiddenError, Session, TooManyFailuresError
from console.services.alerts import AlertDesk, Change, ConflictError, NotFoundError, Status

COOKIE = "fraud_console"
_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_CODES: dict[type[Exception], int] = {
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    TooManyFailuresError: 429,
    ClientError: 503,
    BotoCoreError: 503,
}


class SignIn(BaseModel):
    """Name and password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)


class AlertChange(BaseModel):
    """What to do to an alert, as it was seen."""

    version: int = Field(ge=1, le=2**53)
    change: Change
    note: str | None = Field(default=None, min_length=1, max_length=2000)


def build_app(access: Access, desk: AlertDesk, *, secure: bool) -> FastAPI:
    """Puts the application together.

    Args:
        access: who may enter.
        desk: what they can do.
        secure: whether the session cookie travels by HTTPS only.
    """
    app = FastAPI(title="Fraud console", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)

    def signed_in(request: Request) -> Session:
        session = access.session(request.cookies.get(COOKIE))
        if session is None:
            raise HTTPException(401, "sign in first")
        return session

    def changing(request: Request, session: Annotated[Session, Depends(signed_in)]) -> Session:
        if not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), session.csrf.encode()):
            raise HTTPException(403, "the CSRF token is missing or wrong")
        return session

    @app.middleware("http")
    async def harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    def refuse(_: Request, error: Exception) -> JSONResponse:
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        return JSONResponse(
            {"detail": "the alert store or stream is out of reach" if code == 503 else str(error)}, code
        )

    for kind in _CODES:
        app.add_exception_handler(kind, refuse)

    @app.post("/api/session")
    def sign_in(given: SignIn, request: Request, response: Response) -> dict[str, str]:
        address = request.client.host if request.client else ""
        opened = access.sign_in(given.name, given.password, address)
        if opened is None:
            raise HTTPException(401, "name or password is wrong")
        token, session = opened
        response.set_cookie(COOKIE, token, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
        return _described(session)

    @app.get("/api/session")
    def who(session: Annotated[Session, Depends(signed_in)]) -> dict[str, str]:
        return _described(session)

    @app.delete("/api/session", status_code=204)
    def sign_out(request: Request, response: Response, _: Annotated[Session, Depends(changing)]) -> None:
        access.sign_out(request.cookies.get(COOKIE))
        response.delete_cookie(COOKIE)

    @app.get("/api/alerts")
    def alerts(
        session: Annotated[Session, Depends(signed_in)],
        status: Status = "open",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> list[dict[str, Any]]:
        return desk.newest(session.user, status, limit)

    @app.get("/api/alerts/{alert_id}")
    def alert(alert_id: str, session: Annotated[Session, Depends(signed_in)]) -> dict[str, Any]:
        return desk.get(session.user, alert_id)

    @app.post("/api/alerts/{alert_id}/changes", status_code=204)
    def change(alert_id: str, wanted: AlertChange, session: Annotated[Session, Depends(changing)]) -> None:
        desk.change(session.user, alert_id, wanted.version, wanted.change, wanted.note)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_STATIC / "queue.html")

    @app.get("/queue.{suffix}", include_in_schema=False)
    def asset(suffix: str) -> FileResponse:
        if suffix not in {"js", "css"}:
            raise HTTPException(404)
        return FileResponse(_STATIC / f"queue.{suffix}")

    return app


def _described(session: Session) -> dict[str, str]:
    return {"name": session.user.name, "role": session.user.role.name.lower(), "csrf": session.csrf}
