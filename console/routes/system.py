"""How the system runs, and its dead letters."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, model_validator

from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.dead_letters import MAX_REPLAYED, DeadLetterDesk
from console.services.system import SystemBoard
from fraud.records.dead_letter import Reason

DeadLetterId = Annotated[str, Field(min_length=1, max_length=400)]


class Replay(BaseModel):
    """What to replay: dead letters by id, or the oldest waiting ones of a reason."""

    ids: list[DeadLetterId] | None = Field(default=None, min_length=1, max_length=MAX_REPLAYED)
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Replay":
        if (self.ids is None) == (self.reason is None):
            raise ValueError("give either ids or a reason")
        return self


def system_router(board: SystemBoard, dead_letters: DeadLetterDesk) -> APIRouter:
    """Routes over the board and the desk."""
    router = APIRouter(prefix="/system")

    @router.get("")
    def snapshot(_: Reader) -> dict[str, Any]:
        """Shards, triggers, state, scoring, versions, and dead letters by reason."""
        return board.snapshot() | {"dead_letters": dead_letters.counts()}

    @router.get("/dead-letters")
    def page(
        user: Reader,
        reason: Reason | None = None,
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 25,
    ) -> dict[str, Any]:
        """Dead letters, newest first; `next` begins the following page."""
        return dead_letters.page(user, reason, before, limit)

    @router.get("/dead-letters/record", dependencies=[Depends(at_least(Role.ANALYST))])
    def record(user: Reader, id: Annotated[str, Query(min_length=1, max_length=400)]) -> dict[str, Any]:
        """One dead letter with its bytes; from analyst on."""
        return dead_letters.show(user, id)

    @router.post("/dead-letters/replays", dependencies=[Depends(at_least(Role.LEAD))])
    def replay(wanted: Replay, user: Changer) -> dict[str, int]:
        """Puts dead letters on their streams again; from lead on."""
        return dead_letters.replay(user, wanted.ids, wanted.reason)

    return router
