"""Acting on what a payment has: block, watch or allow it, with its effect."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from adapters.archive.payment_index import Kind
from console.access import Role
from console.guard import Changer, Reader, at_least
from console.services.acts import MAX_DAYS, ActDesk, Does
from fraud.decision.policy.living import MAX_TEXT

_Key = Annotated[str, Field(min_length=1, max_length=64)]
_Why = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Act(BaseModel):
    """What to block, watch or allow, by the key of a decision or its own; without days for ever."""

    key: _Key
    of: Kind
    does: Does
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = None
    why: _Why


class Removal(BaseModel):
    """What to take off a list."""

    key: _Key
    of: Kind
    list: Annotated[str, Field(max_length=64)]
    why: _Why


def acts_router(desk: ActDesk) -> APIRouter:
    """Routes for what is done from a case or from a card's, merchant's or device's page."""
    router = APIRouter(prefix="/acts", tags=["acts"], dependencies=[Depends(at_least(Role.ANALYST))])

    @router.get("")
    def about(user: Reader, key: Annotated[str, Query(min_length=1, max_length=64)]) -> dict[str, Any]:
        """What can be acted on, the lists that have it, and what an act would have changed in payments since."""
        return desk.about(user, key)

    @router.post("")
    def put(wanted: Act, user: Changer) -> dict[str, Any]:
        """Blocks, watches or allows; a merchant's block, what is allowed and what never ends need a lead."""
        return desk.put(user, wanted.key, wanted.of, wanted.does, wanted.days, wanted.why)

    @router.post("/removals")
    def take_off(wanted: Removal, user: Changer) -> dict[str, Any]:
        """Takes off a list: a lead anything, an analyst what they put there themselves."""
        return desk.take_off(user, wanted.key, wanted.of, wanted.list, wanted.why)

    return router
