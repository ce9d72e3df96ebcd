"""The audit log: search, export, check."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from console.guard import Reader
from console.services.audit import AuditDesk, Search
from console.sheets import CSV_ANSWER, sheet_answer

Instant = Annotated[int | None, Query(ge=0, le=4_102_444_800_000)]
Name = Annotated[str | None, Query(max_length=100)]


def _search(
    by: Name = None, act: Name = None, text: Name = None, since_ms: Instant = None, until_ms: Instant = None
) -> Search:
    return Search(by or None, act or None, text or None, since_ms, until_ms)


Searched = Annotated[Search, Depends(_search)]


def audit_router(desk: AuditDesk) -> APIRouter:
    """Routes over the desk."""
    router = APIRouter(prefix="/audit")

    @router.get("")
    def page(
        user: Reader,
        search: Searched,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=10**12)] = None,
    ) -> dict[str, Any]:
        """Lines, newest first; `next` begins the following page as `before`."""
        return desk.page(user, search, limit, before)

    @router.get("/export", response_class=Response, responses=CSV_ANSWER)
    def export(user: Reader, search: Searched) -> Response:
        """The newest 100,000 lines of a search as CSV."""
        return sheet_answer("audit", desk.export(user, search))

    @router.get("/check")
    def check(user: Reader) -> dict[str, Any]:
        """Whether the chain is whole: the work of looking, and its result when it has ended."""
        return desk.check(user).shown_to(user)

    return router
