"""The web application: one document, its scripts and styles, and the JSON API below `/api`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from adapters.alerts.pages import CursorError
from console.access import Access, ForbiddenError, TooManyFailuresError
from console.audit import Audit, Reads, log_audit
from console.door import Door
from console.errors import ConflictError, InvalidError, NotFoundError
from console.guard import Reader, at_least
from console.pages import Page
from console.periodic import PeriodicTask
from console.routes import session
from console.services.shortcuts import PreferenceMemory, Preferences, ShortcutDesk
from console.single_sign_on import SingleSignOn
from fraud.decision.policy.compiled import PolicyError
from fraud.decision.policy.edit import EditError
from fraud.decision.policy.living import ListError, NoSuchListError
from fraud.errors import FraudError, MisconfiguredError, RetryableError, ServiceError
from fraud.records.card_number import redact_text

_STATIC = Path(__file__).parent / "static"


def _import_map() -> str:
    """The hash of the document's map from library names to their files: browsers take no import map from a file."""
    document = (_STATIC / "index.html").read_text(encoding="utf-8")
    written = document.partition('<script type="importmap">')[2].partition("</script>")[0]
    return base64.b64encode(hashlib.sha256(written.encode()).digest()).decode()


_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self' 'sha256-{_import_map()}'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_HSTS = "max-age=31536000"
"""A year; not for subdomains, which are other people's."""

_CODES: dict[type[Exception], int] = {
    CursorError: 400,
    EditError: 422,
    NoSuchListError: 404,
    ListError: 422,
    PolicyError: 422,
    InvalidError: 422,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    TooManyFailuresError: 429,
    ServiceError: 503,
    RetryableError: 503,
    MisconfiguredError: 503,
}
OUT_OF_REACH = "a store or stream is out of reach"


class Refused(BaseModel):
    """Every answer that is not what was asked for."""

    detail: str


_DESCRIBED: dict[str, Any] = {
    "openapi_url": None,
    "docs_url": None,
    "redoc_url": None,
    "responses": {422: {"model": Refused, "description": "What was given is malformed"}},
}


def build_app(
    access: Access,
    pages: Sequence[Page],
    probes: Mapping[str, Callable[[], object]],
    background: Sequence[PeriodicTask] = (),
    *,
    door: Door,
    audit: Audit = log_audit,
    base_currency: str = "EUR",
    parts: Sequence[APIRouter] = (),
    single_sign_on: SingleSignOn | None = None,
    preferences: Preferences | None = None,
) -> FastAPI:
    """Puts the application together.

    Args:
        access: who may enter.
        pages: what they find there, in the order of the navigation.
        probes: by what each asks, calls that fail while it is out of reach.
        background: what goes on while the application runs.
        door: how it is reached.
        audit: where reads of card tokens are written down.
        base_currency: of billing amounts.
        parts: of the JSON API that no page of the navigation stands for.
        single_sign_on: signs people in whom a provider vouches for; None where there is no provider.
        preferences: where people's own choices are kept; None keeps them as long as the application lives.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for work in background:
            work.start()
        yield
        for work in background:
            work.stop()

    app = FastAPI(title="Fraud console", lifespan=lifespan, **_DESCRIBED)
    app.state.access, app.state.pages, app.state.secure = access, list(pages), door.secure
    app.state.reads = Reads(audit)
    app.state.base_currency = base_currency
    app.state.single_sign_on = single_sign_on
    app.state.shortcuts = ShortcutDesk(PreferenceMemory() if preferences is None else preferences)
    app.middleware("http")(_harden)
    door.guard(app)
    answer_errors(app)
    app.include_router(session.router, prefix="/api", tags=["session"])
    app.add_api_route("/api/openapi.json", _description, include_in_schema=False)
    app.include_router(_health_router(probes), prefix="/api", tags=["health"])
    for page in pages:
        guards = [Depends(at_least(page.role))]
        app.include_router(page.router, prefix="/api", tags=[page.name], dependencies=guards)
        for path in (f"/{page.name}", f"/{page.name}/{{rest:path}}"):
            app.add_api_route(path, _document, include_in_schema=False)
    for part in parts:
        app.include_router(part, prefix="/api")
    app.add_api_route("/", _document, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC))
    return app


def _document() -> FileResponse:
    return FileResponse(_STATIC / "index.html")


def _description(request: Request, _: Reader) -> dict[str, Any]:
    application: FastAPI = request.app
    return application.openapi()


def _health_router(probes: Mapping[str, Callable[[], object]]) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    def health(_: Reader) -> dict[str, bool]:
        """Whether each store and stream can be reached."""
        return {name: _answers(probe) for name, probe in probes.items()}

    return router


def _answers(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except (OSError, FraudError):
        return False
    return True


async def _harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Security headers on everything; validators on the API's answers, so that pages can ask often at little cost."""
    response = await call_next(request)
    response.headers.update(_HEADERS)
    if request.app.state.secure or request.url.scheme == "https":
        response.headers["Strict-Transport-Security"] = _HSTS
    api = request.url.path.startswith("/api/")
    response.headers["Cache-Control"] = "no-store" if api else "no-cache"
    if not api or request.method != "GET" or response.status_code != 200:
        return response
    body = b"".join([part async for part in response.body_iterator])  # type: ignore[attr-defined]
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    kept = {name: value for name, value in response.headers.items() if name != "content-length"} | {"etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=kept)
    return Response(body, response.status_code, kept)


def answer_errors(app: FastAPI) -> None:
    """Has an application answer each kind of error with its code and one line, in which no card number stands."""
    for kind in _CODES:
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_malformed)


def _refuse(_: Request, error: Exception) -> JSONResponse:
    code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
    headers = {"Retry-After": str(error.wait_s)} if isinstance(error, TooManyFailuresError) else None
    return JSONResponse({"detail": OUT_OF_REACH if code == 503 else _shown(str(error))}, code, headers)


def _refuse_malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse({"detail": _shown("; ".join(faults))}, 422)


def _shown(text: str) -> str:
    """A text without card numbers; halves of a sign, which JSON may hold and UTF-8 may not, as escapes."""
    return redact_text(text).encode(errors="backslashreplace").decode()
