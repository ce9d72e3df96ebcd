"""The team: figures and exports for its lead, second looks for its analysts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.team import Table, TeamDesk
from console.sheets import CSV_ANSWER, sheet_answer

_ANALYST = [Depends(at_least(Role.ANALYST))]

Days = Annotated[int, Query(ge=1, le=90)]


class Look(BaseModel):
    """A second verdict."""

    key: Annotated[str, Field(max_length=64)]
    verdict: Literal["fraud", "legitimate"]


def team_router(desk: TeamDesk) -> APIRouter:
    """Routes over the desk's figures."""
    router = APIRouter(prefix="/team")

    @router.get("")
    def figures(user: Reader, days: Days = 7) -> dict[str, Any]:
        """The work of reading the table, and the figures when it has ended."""
        return desk.figures(user, days).shown_to(user)

    @router.get("/export/{table}", response_class=Response, responses=CSV_ANSWER)
    def export(table: Table, user: Reader, days: Days = 7) -> Response:
        """A table of the page as CSV."""
        return sheet_answer(f"team-{table}", desk.export(user, days, table))

    return router


def looks_router(desk: TeamDesk) -> APIRouter:
    """Routes over second looks."""
    router = APIRouter(prefix="/second-looks", dependencies=_ANALYST)

    @router.get("")
    def next_look(user: Reader) -> dict[str, Any]:
        """The next alert to look at, without what another decided."""
        return desk.next_look(user)

    @router.post("", status_code=204)
    def look(given: Look, user: Changer) -> None:
        """Keeps a second verdict."""
        desk.look(user, given.key, given.verdict)

    return router
